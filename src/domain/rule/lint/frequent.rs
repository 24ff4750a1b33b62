//! Words that nearly every post of a language has.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The most frequent words of English, Spanish, French, German, Italian and Portuguese, folded.
const WORDS: [&str; 6] = [
    "the of and to in a is that it for was on are as with his they at be this from i have or by not but what all \
     were when we there can an your which their if do will each how them then she many some so these would other \
     into has more her two him see could no make than been its now my over did down only long get me you just like \
     im dont out up about one people time go day today know good new today really got",
    "de la que el en y a los se del las un por con no una su para es al lo como mas o pero sus le ha me si sin \
     sobre este ya entre cuando todo esta ser son dos tambien fue habia era muy anos hasta desde mi porque que hoy \
     bien hay nos te eso dia todos",
    "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec ou son ont \
     aux cette mais comme on tout nous sa je vous fait ete aussi leur bien si y elle tres meme jour moi ca cest",
    "der die und in den von zu das mit sich des auf fur ist im dem nicht ein eine als auch es an werden aus er hat \
     dass sie nach wird bei einer um am sind noch wie einem uber einen so zum war haben nur oder aber vor zur bis \
     mehr durch man ich du wir heute schon mal",
    "di e il la che in a per un del non una con sono della le i da si dei nel al come piu lo ha anche alla ma delle \
     gli su o se e mi ti io cosa oggi bene solo quando questo questa tutto tutti molto fatto essere ci ne",
    "de a o que e do da em um para com nao uma os no se na por mais as dos como mas ao ele das seu sua ou quando \
     muito nos ja eu tambem so pelo pela ate isso ela entre depois sem mesmo aos seus quem nas me esse eles voce \
     essa hoje bem tudo dia",
];

/// One by one: every word of every rule is looked up.
static EACH: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.iter().flat_map(|words| words.split(' ')).collect());

/// Whether a folded word is in very many posts.
pub(super) fn is_frequent(word: &str) -> bool {
    EACH.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_folded_words() {
        for word in WORDS.iter().flat_map(|words| words.split(' ')) {
            assert!(!word.is_empty());
            assert_eq!(crate::domain::text::Words::of(word).normalised(0), word);
        }
        assert!(is_frequent("the") && is_frequent("los") && !is_frequent("gun"));
    }
}
