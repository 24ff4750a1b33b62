//! How common words are: a guess that decides where queries are filed, never what they find.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Words that are in more than one post in a hundred, in the languages of most posts; a
/// first guess, by rank.
const COMMON: &str = "the to a and of i in is it that you for on my this with so be but me not have are just was we at \
    if all like no they what as people do can your get one about up now its from an out more there time or when know \
    good how by new think really day going see some their will today who would because only dont love make want he \
    she her his them back been had still even right go here than too has our need year last never us into over after \
    de que la el en y los se un por con no una para es lo le del su al mas como pero las me ya si muy esta hoy \
    der die und ich das nicht ist den ein zu es mit auf sie dem von im fur eine auch sich wie hat noch nur bei \
    et les des je pas vous une est pour dans ce qui sur nous avec plus il elle mais cest \
    o da em um nao uma os com eu mais na voce isso ele tem mas foi \
    di che non il un per sono con si ma come \
    の に は を た が で て と し れ さ い な る か ら ん す ま っ こ あ も だ く う り 日 人 的 一 是 不 了 我 在 有 他 这 \
    и в не на я что с а это как у по он она то мы https com www rt amp 1 2 3 2025 2026";

/// The share of posts that has a folded word: known for the most common ones, for the
/// rest told from their length, because long words are rare in every language.
pub(super) fn share(word: &str) -> f32 {
    static RANKS: LazyLock<HashMap<&str, f32>> = LazyLock::new(ranks);
    RANKS.get(word).copied().unwrap_or_else(|| unknown(word))
}

fn ranks() -> HashMap<&'static str, f32> {
    let mut ranks = HashMap::new();
    let mut rank = 1.0_f32;
    for word in COMMON.split_whitespace() {
        ranks.entry(word).or_insert(0.5 / rank.sqrt());
        rank += 1.0;
    }
    ranks
}

fn unknown(word: &str) -> f32 {
    let letters = word.chars().count();
    let alone = letters == 1 && !word.is_ascii();
    if alone {
        return 0.01;
    }
    let letters = f32::from(u8::try_from(letters.clamp(1, 30)).unwrap_or(30));
    0.05 / letters.powi(2)
}
