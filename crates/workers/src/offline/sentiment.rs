//! The sentiment of a text: VADER (Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
//! Social Media Text", 2014) over each sentence, and the mean of the scores. Mood and tone come from small word lists.
//! English alone; it misses irony, and words that are grave in one trade and plain in another.

use serde::Serialize;
use vader_sentimental::SentimentIntensityAnalyzer;

use super::{
    sentence,
    words::{stem, words},
};

/// The sentiment of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sentiment {
    /// `positive`, `neutral` or `negative`.
    pub sentiment: &'static str,
    /// Score from -1 (bad) to 1 (good).
    pub score: f64,
    /// The tone: `formal`, `informal`, `urgent` or `neutral`.
    pub tone: &'static str,
    /// The strongest feeling: `joyful`, `hopeful`, `calm`, `worried`, `sad` or `angry`.
    pub mood: &'static str,
}

/// VADER's own boundary between neutral and the rest.
const NEUTRAL: f64 = 0.05;
/// The most bytes of a sentence for the analyser, which compares the words within it.
const BYTES_MAX: usize = 800;

const MOODS: &[(&str, &str)] = &[
    (
        "joyful",
        "celebrate celebrated delight delighted enjoy enjoyed excited fun glad happy joy laugh love loved \
                pleased proud smile thrilled wonderful",
    ),
    (
        "hopeful",
        "ambition better confident encourage encouraging expect goal growth hope hopeful improve improved \
                 improvement improving opportunity optimistic plan progress promise promising",
    ),
    (
        "worried",
        "afraid anxious burden challenge concern concerned concerning danger decline delay difficult difficulty \
                 fear lack pressure problem risk shortage strain threat uncertain unsure worried worry",
    ),
    (
        "sad",
        "alone cried cry death disappointed disappointing grief heartbroken hopeless hurt loss lonely miserable \
             mourn regret sad sorrow tragic unhappy",
    ),
    (
        "angry",
        "angry annoyed complain complaint disgusted furious hate hated insult outrage outrageous rude terrible \
               unacceptable unfair",
    ),
];
/// Words that VADER takes for praise and that letters and reports use without a feeling.
const COURTESY: &[&str] = &[
    "please",
    "support",
    "supported",
    "supports",
    "dear",
    "share",
    "shared",
    "shares",
    "interest",
    "regards",
    "present",
];
const URGENT: &str = "asap critical crucial deadline emergency immediate immediately now overdue urgent urgently";
const INFORMAL: &str = "awesome cool gonna guys hey hi kinda lol okay ok stuff thanks wanna wow yeah yep btw";

/// Measures the sentiment of a text.
#[must_use]
pub fn analyse(text: &str) -> Sentiment {
    let analyser = SentimentIntensityAnalyzer::new();
    let sentences = sentence::split(text);
    let whole = [text.chars().take(BYTES_MAX / 4).collect::<String>()];
    let parts: Vec<&str> =
        if sentences.is_empty() { vec![&whole[0]] } else { sentences.iter().map(|s| s.text.as_str()).collect() };
    let sum: f64 = parts.iter().map(|part| analyser.polarity_scores(&without_courtesy(part)).compound).sum();
    let mean = sum / parts.len() as f64;
    let score = if mean.is_finite() { (mean * 100.0).round() / 100.0 + 0.0 } else { 0.0 };
    let sentiment = match score {
        s if s >= NEUTRAL => "positive",
        s if s <= -NEUTRAL => "negative",
        _ => "neutral",
    };
    Sentiment { sentiment, score, tone: tone(text, &parts), mood: mood(&parts, sentiment) }
}

fn without_courtesy(sentence: &str) -> String {
    let bare = |word: &&str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let kept: Vec<&str> = sentence.split_whitespace().filter(|word| !COURTESY.contains(&bare(word).as_str())).collect();
    kept.join(" ")
}

fn count(parts: &[&str], list: &str) -> usize {
    let list: Vec<&str> = list.split_whitespace().collect();
    let is_in = |word: &&str| {
        let low = word.to_lowercase();
        list.contains(&low.as_str()) || list.contains(&stem(word).as_str())
    };
    parts.iter().flat_map(|part| words(part)).filter(is_in).count()
}

fn mood(parts: &[&str], sentiment: &str) -> &'static str {
    let fits = |name: &str| match sentiment {
        "positive" => matches!(name, "joyful" | "hopeful"),
        "negative" => matches!(name, "worried" | "sad" | "angry"),
        _ => true,
    };
    let counted = MOODS.iter().filter(|(name, _)| fits(name)).map(|&(name, list)| (count(parts, list), name));
    // The first of equals wins, so that the order of the list decides and not chance.
    let best = counted.fold((0, "calm"), |best, next| if next.0 > best.0 { next } else { best });
    // One word in a long text does not make a mood.
    if best.0 * 40 >= parts.len() { best.1 } else { "calm" }
}

fn tone(text: &str, parts: &[&str]) -> &'static str {
    let total: usize = parts.iter().map(|part| words(part).count()).sum::<usize>().max(1);
    let shouts = text.bytes().filter(|b| *b == b'!').count();
    let contractions =
        parts.iter().flat_map(|part| words(part)).filter(|word| word.contains(['\'', '’']) && !word.ends_with('s'));
    let loose = count(parts, INFORMAL) + contractions.count();
    if count(parts, URGENT) * 60 >= total {
        "urgent"
    } else if loose * 40 >= total || shouts * 8 >= parts.len().max(8) {
        "informal"
    } else if total / parts.len().max(1) >= 13 {
        "formal"
    } else {
        "neutral"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_bad_and_plain_are_told_apart() {
        let good = analyse("What a wonderful day! We are so happy and we love the new park, thanks!");
        assert_eq!((good.sentiment, good.mood, good.tone), ("positive", "joyful", "informal"));
        let bad = analyse("The service was terrible. Staff were rude and the room was dirty. I am furious.");
        assert_eq!((bad.sentiment, bad.mood), ("negative", "angry"));
        assert!(bad.score < -0.3);
        let complaint = analyse(
            "My order arrived with a cracked screen. I wrote to support twice and nobody replied. I am really \
             disappointed. Please send a replacement, otherwise I will cancel my account.",
        );
        assert_eq!((complaint.sentiment, complaint.mood), ("negative", "sad"));
        let plain = analyse("The train leaves at nine. It arrives at ten.");
        assert_eq!((plain.sentiment, plain.score), ("neutral", 0.0));
    }

    #[test]
    fn urgency_is_heard() {
        assert_eq!(analyse("The server is down. We need an immediate answer, this is urgent.").tone, "urgent");
    }
}
