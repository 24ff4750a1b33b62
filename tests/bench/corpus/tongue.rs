//! Made-up languages with the scripts, lengths and frequencies of real ones.

use super::super::rng::Rng;

/// Words each language has: with inflections, names and misspellings as many as people use.
const VOCABULARY: u64 = 200_000;
/// Rules are about words rarer than the first so many.
const COMMON: u64 = 150;
/// Mandelbrot's correction: the r-th word is met 1/(r + this) as often as the first.
const OFFSET: f64 = 2.7;

/// A language: how often it is written, what stands between words, what words are made of.
pub struct Tongue {
    pub code: &'static str,
    /// Of a hundred posts.
    share: u64,
    /// What stands between words; nothing in scripts without spaces.
    pub space: &'static str,
    syllables: &'static str,
}

const TONGUES: &[Tongue] = &[
    tongue("en", 44, " ", "th er in on an re he ou st ar nd ing ly com pro ter ful ness est un de al or ent"),
    tongue(
        "ja",
        16,
        "",
        "の に は を た が で て と し れ さ ある いる 人 日 本 病 院 見 行 食 新 月 学 気 今 コ ー ラ イ ン ス ト",
    ),
    tongue("pt", 9, " ", "de ão ar es co mo ra ção te nho é as um pre vi da os lhe"),
    tongue("de", 6, " ", "er en sch ein ge be ver te lich keit ung ü ä ö ß au st ich an"),
    tongue("es", 6, " ", "de la os ción en ar ía que es ado mie per con ñ te ro á"),
    tongue("fr", 4, " ", "le ment é ou qu ai re è eau es tion ç ie par on eur d’"),
    tongue("ko", 4, " ", "이 다 는 에 한 국 사 람 고 하 지 안 녕 오 늘 병 원 을"),
    tongue("ru", 3, " ", "о не на ст ра по то ко ни ет ова ть пре ый ж"),
    tongue("zh", 2, "", "的 一 是 不 了 人 我 在 有 他 这 医 院 中 大 来"),
    tongue("th", 1, "", "การ ที่ ใน เป็น ไม่ มา คน วัน ดี ครับ"),
    tongue("ar", 1, " ", "ال من في على ها ون ت ين م ست مر"),
    tongue("hi", 1, " ", "है का में की से हिन् दी ना कर ओं"),
    tongue("tr", 1, " ", "la ler in ı ş ğı de ya ki bir ç mak da lı ka İs tan"),
    tongue("it", 1, " ", "la zio ne che re to di mo è pe ro gli an co sta ti"),
    tongue("vi", 1, " ", "nh ữ ng b ệ viện tr ườ m ộ t kh ô đ ế th ẩ"),
];

const fn tongue(code: &'static str, share: u64, space: &'static str, syllables: &'static str) -> Tongue {
    Tongue { code, share, space, syllables }
}

/// The words English speakers use most, and after them those a hospital's rules ask for.
const ENGLISH: &str = "the to a and of i in is it that you for on my this with so be but me not have are just was we \
    at if all like no they what as people do can your get one about up now its from an out more there time or when \
    know good how by new think really day going see some their will today who would because only don't it's love \
    make want he she her his him them back been had still even right go here than too has our need year last never";
const GRAVE: &str = "shot shooting police fire hospital gun attack bomb shooter emergency threat knife nurse doctor \
    patient lockdown evacuated ambulance hostage gunman explosion weapon";

impl Tongue {
    /// The language of the next post.
    pub fn pick(rng: &mut Rng) -> &'static Self {
        let mut place = rng.below(100);
        let found = TONGUES.iter().find(|tongue| {
            let here = place < tongue.share;
            place = place.saturating_sub(tongue.share);
            here
        });
        found.unwrap_or(&TONGUES[0])
    }

    /// The language of a rule: of every other one as people write, of the rest any.
    pub fn pick_for_rule(rng: &mut Rng) -> &'static Self {
        if rng.below(2) == 0 { Self::pick(rng) } else { &TONGUES[rng.index(TONGUES.len())] }
    }

    /// The language of that code.
    pub fn of(code: &str) -> &'static Self {
        TONGUES.iter().find(|tongue| tongue.code == code).unwrap()
    }

    /// Whether words stand apart.
    pub const fn has_spaces(&self) -> bool {
        !self.space.is_empty()
    }

    /// The word of a rank: the same whenever it is asked for.
    pub fn word(&self, rank: u64) -> String {
        self.known(rank).map_or_else(|| self.made(rank), str::to_owned)
    }

    fn known(&self, rank: u64) -> Option<&'static str> {
        if self.code != "en" {
            return None;
        }
        match rank.checked_sub(COMMON).filter(|rank| rank.is_multiple_of(5)) {
            None => ENGLISH.split_ascii_whitespace().nth(rank as usize),
            Some(rank) => GRAVE.split_ascii_whitespace().nth(rank as usize / 5),
        }
    }

    fn made(&self, rank: u64) -> String {
        let mut rng = Rng(rank << 8 ^ u64::from(self.code.as_bytes()[0]) ^ u64::from(self.code.as_bytes()[1]) << 3);
        let length = match rank {
            0..60 => 1,
            60..COMMON => 2,
            _ if matches!(self.code, "ja" | "zh") => return self.ideographs(&mut rng),
            COMMON..2000 => 3,
            _ => rng.between(3, 5),
        };
        let syllables: Vec<&str> = self.syllables.split(' ').collect();
        (0..length).map(|_| rng.pick(&syllables)).collect()
    }

    /// Two or three of 2,000 Han characters, some much used; or, of Japanese words one in
    /// three, katakana.
    fn ideographs(&self, rng: &mut Rng) -> String {
        if self.code == "ja" && rng.below(3) == 0 {
            let kana = |rng: &mut Rng| char::from_u32(rng.between(0x30a2, 0x30ed) as u32).unwrap_or('ア');
            return (0..rng.between(3, 6)).map(|_| kana(rng)).collect();
        }
        let han = |rng: &mut Rng| char::from_u32(0x4e00 + 7 * rng.log_uniform(60.0, 2000.0) as u32).unwrap_or('一');
        (0..rng.between(2, 3)).map(|_| han(rng)).collect()
    }

    /// The rank of the word that people like to put behind it: what makes phrases occur.
    pub fn partner(rank: u64) -> u64 {
        common_rank(&mut Rng(rank ^ 0x5eed), COMMON)
    }
}

/// The rank of the next word somebody writes.
pub fn rank(rng: &mut Rng) -> u64 {
    common_rank(rng, 1)
}

/// The same among words no more common than the `least`-th.
fn common_rank(rng: &mut Rng, least: u64) -> u64 {
    let (least, most) = (least as f64 + OFFSET, VOCABULARY as f64 + OFFSET);
    (rng.log_uniform(least, most) - OFFSET) as u64
}

/// The rank of a word that somebody makes a rule about: from common to rare, each
/// doubling as likely as any other.
pub fn rule_rank(rng: &mut Rng) -> u64 {
    rng.log_uniform(COMMON as f64, VOCABULARY as f64) as u64
}
