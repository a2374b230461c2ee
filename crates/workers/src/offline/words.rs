//! Words, their stems, and the words that carry no meaning of their own.

use std::{collections::HashSet, sync::LazyLock};

/// The longest word; anything longer is cut.
const WORD_MAX: usize = 40;

const ENGLISH: &str = "a about above across after again against all almost along already also although always am among \
    an and another any anyone anything are aren't around as at away back be became because become been before behind \
    being below between both but by came can can't cannot come could couldn't did didn't do does doesn't doing don't \
    done down during each either else enough even ever every everyone everything few first for from further gave get \
    give given go goes going gone got had has hasn't have haven't having he her here hers herself him himself his how \
    however i if in instead into is isn't it it's its itself just keep kept know known last later least less let like \
    likely made make makes making many may me might mine more most much must my myself near need neither never next no \
    nobody none nor not nothing now of off often on once one only onto or other others otherwise our ours ourselves \
    out over own per perhaps put quite rather really said same saw say says see seem seen several shall she should \
    shouldn't since so some someone something soon still such take taken than that that's the their theirs them \
    themselves then there therefore these they thing things this those though three through thus to together too took \
    toward towards two under until up upon us use used using usually very via want was wasn't way we well went were \
    weren't what when where whether which while who whole whom whose why will with within without won't would wouldn't \
    yes yet you your yours yourself yourselves mr mrs ms dr new year years month months week weeks day days percent \
    number four five six seven eight nine ten hundred thousand million half second third today time times help helped \
    monday tuesday wednesday thursday friday saturday sunday january february march april june july august september \
    october november december";
const GERMAN: &str = "aber alle allem allen aller alles als also am an ander andere anderen auch auf aus bei beim bin \
    bis bist da damit dann das dass dein dem den denn der des dessen die dies diese diesem diesen dieser dieses doch \
    dort du durch ein eine einem einen einer eines er es etwas euch für gegen gewesen hab habe haben hat hatte hatten \
    hier hin ich ihm ihn ihr ihre ihrem ihren ihrer im in ins ist jede jeder jedes jetzt kann kein keine können man \
    mehr mein mich mir mit muss nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit \
    sich sie sind so soll sollte sondern über um und uns unser unter viel vom von vor war waren was weil wenn wer \
    werden wie wieder will wir wird wo wurde wurden zu zum zur zwar zwischen";
const FRENCH: &str = "à alors au aucun aussi autre aux avait avec avoir bien car ce cela ces cet cette ceux chaque \
    comme dans de des du elle elles en encore entre est et étaient était été être eux fait fois font il ils je la le \
    les leur leurs lors lui mais même mes moins mon ne nos notre nous on ont ou où par parce pas pendant peu peut plus \
    pour pourquoi quand que quel quelle qui sa sans se ses si soit son sont sous sur ta tandis tous tout toute toutes très \
    trop tu un une vos votre vous";
const SPANISH: &str = "a al algo ante antes aquel así aunque bajo bien cada casi como con contra cual cuando de del \
    desde donde dos durante e el ella ellas ellos en entre era eran es esa ese eso esta está estaba están este esto \
    fue fueron ha había han hasta hay la las le les lo los más me menos mi mientras muy nada ni no nos nosotros o otra \
    otro para pero poco por porque puede que qué quien se sea según ser si sí sin sobre son su sus también tan tanto \
    te tiene tienen toda todas todo todos tras tu un una uno unos y ya yo";

/// Words without a meaning of their own.
pub struct StopWords(HashSet<&'static str>);

static SETS: LazyLock<[StopWords; 4]> =
    LazyLock::new(|| [ENGLISH, GERMAN, FRENCH, SPANISH].map(|list| StopWords(list.split_whitespace().collect())));

impl StopWords {
    /// Returns the stop words of a language by its ISO 639-3 code; the English ones for a language without a list.
    #[must_use]
    pub fn of(code: &str) -> &'static StopWords {
        &SETS[match code {
            "deu" => 1,
            "fra" => 2,
            "spa" => 3,
            _ => 0,
        }]
    }

    /// Says whether a lower-case word is a stop word, or too short to mean much.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        let short = word.is_ascii() && word.len() < 3;
        short || self.0.contains(word) || word.strip_suffix("'s").is_some_and(|stem| self.0.contains(stem))
    }
}

/// Returns the words of a text as they are written: letters and digits with inner apostrophes and hyphens.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-');
    let cut = |word: &str| word.char_indices().nth(WORD_MAX).map_or(word.len(), |(at, _)| at);
    text.split(move |c: char| !inner(c))
        .map(|word| word.trim_matches(['\'', '’', '-']))
        .filter(|word| !word.is_empty())
        .map(move |word| &word[..cut(word)])
}

/// Returns the lower-case word without its plural ending, after Harman's "S" stemmer (1991): `libraries` and `library`
/// meet.
#[must_use]
pub fn stem(word: &str) -> String {
    let mut low = word.to_lowercase().replace('’', "'");
    if let Some(short) = low.strip_suffix("'s") {
        low.truncate(short.len());
    }
    if !low.is_ascii() || low.len() < 4 {
        return low;
    }
    if low.ends_with("ies") && !low.ends_with("eies") && !low.ends_with("aies") {
        low.truncate(low.len() - 3);
        low.push('y');
    } else if ["xes", "ches", "shes", "sses"].iter().any(|end| low.ends_with(end)) {
        low.truncate(low.len() - 2);
    } else if low.ends_with('s') && !low.ends_with("us") && !low.ends_with("ss") && !low.ends_with("is") {
        low.truncate(low.len() - 1);
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_inner_marks() {
        let found: Vec<&str> = words("It’s the well-known 'Orla' branch, e-mail: x@y.").collect();
        assert_eq!(found, ["It’s", "the", "well-known", "Orla", "branch", "e-mail", "x", "y"]);
    }

    #[test]
    fn plurals_meet_their_singular() {
        for (many, one) in [("libraries", "library"), ("Books", "book"), ("boxes", "box"), ("branch's", "branch")] {
            assert_eq!(stem(many), one);
        }
        for word in ["status", "class", "analysis", "gas"] {
            assert_eq!(stem(word), if word == "gas" { "gas" } else { word });
        }
    }
}
