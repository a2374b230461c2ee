//! Questions that a text answers: its central sentences (see `summary`) put into a few templates, in the manner of
//! Heilman and Smith, "Good Question! Statistical Ranking for Question Generation" (2010), without their parser. Every
//! question comes with the sentence that answers it. English alone; the wording is plain.

use serde::Serialize;

use super::{
    keywords,
    sentence::{self, Sentence},
    summary::{central, plain_point},
    words::{StopWords, words},
};

/// A question and the sentence that answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The question.
    pub question: String,
    /// The sentence of the text that answers it.
    pub answer: String,
}

/// At most `max` questions in the order of the text.
#[must_use]
pub fn ask(text: &str, max: usize) -> Vec<Question> {
    let sentences = sentence::split(text);
    let stop = StopWords::of("eng");
    let topics = keywords::extract(text, 30);
    let mut found: Vec<Question> = Vec::new();
    // More sentences than questions, for not every sentence fits a template.
    for at in central(&sentences, stop, max.saturating_mul(3).max(8)) {
        if let Some(question) = of_sentence(&sentences[at], &topics, &found) {
            found.push(Question { question, answer: plain_point(&sentences[at].text) });
        }
        if found.len() == max {
            break;
        }
    }
    found
}

fn of_sentence(sentence: &Sentence, topics: &[String], before: &[Question]) -> Option<String> {
    let text = &sentence.text;
    let new = |question: &String| before.iter().all(|other| other.question != *question);
    let low = format!(" {} ", text.to_lowercase());
    let about = topics.iter().find(|topic| low.contains(&format!(" {} ", topic.to_lowercase())));
    let templates = [defined(text), counted(text), caused(&low, about), advised(&low, about)];
    templates.into_iter().flatten().chain(about.map(|topic| format!("What does the text say about {topic}?"))).find(new)
}

/// "The pilot was a success." gives "What was the pilot?"; only for a subject of a few words.
fn defined(text: &str) -> Option<String> {
    let list: Vec<&str> = text.split_whitespace().collect();
    let verb = list.iter().take(6).position(|word| matches!(*word, "is" | "are" | "was" | "were"))?;
    let subject = &list[..verb];
    let opens = matches!(*subject.first()?, "The" | "Our");
    let plain = subject.iter().all(|w| w.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’')));
    // "was opened" tells what happened, "was a success" what it is.
    let named = matches!(list.get(verb + 1), Some(&("a" | "an" | "the" | "our" | "one")));
    if !(opens && plain && named && subject.len() >= 2) {
        return None;
    }
    Some(format!("What {} the {}?", list[verb], subject[1..].join(" ")))
}

/// A count and the word for what is counted gives "How many ...".
fn counted(text: &str) -> Option<String> {
    let list: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| {
        let digits = word.replace(',', "");
        digits.len() >= 2 && digits.bytes().all(|b| b.is_ascii_digit()) && !(digits.len() == 4 && !word.contains(','))
    };
    for (at, word) in list.iter().enumerate() {
        let Some(next) = list.get(at + 1).filter(|_| number(word)) else { continue };
        let noun = next.trim_end_matches(['.', ',', ';', ':']);
        let plural = noun.ends_with('s') && noun.len() > 3 && noun.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if plural && !matches!(noun, "hours" | "percents" | "less" | "across" | "times") {
            return Some(format!("How many {noun} does the text report?"));
        }
    }
    if text.contains(" percent") || text.contains('%') {
        let risen = ["rose", "grew", "increased", "fell", "dropped", "decreased"];
        let verb = list.iter().position(|word| risen.contains(word))?;
        let subject = list[..verb].join(" ");
        let short = verb <= 7 && subject.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '\''));
        let form = match list[verb] {
            "rose" => "rise",
            "grew" => "grow",
            "fell" => "fall",
            "dropped" => "drop",
            "increased" => "increase",
            _ => "decrease",
        };
        return short.then(|| format!("By how much did {} {form}?", lower_first(&subject)));
    }
    None
}

fn caused(low: &str, about: Option<&String>) -> Option<String> {
    let cause = [" because ", " due to ", " as a result of ", " thanks to "].iter().any(|cue| low.contains(cue));
    about.filter(|_| cause).map(|topic| format!("What reason does the text give in connection with {topic}?"))
}

fn advised(low: &str, about: Option<&String>) -> Option<String> {
    let advice = [" should ", " must ", " recommend ", " recommends "].iter().any(|cue| low.contains(cue));
    about.filter(|_| advice).map(|topic| format!("What should be done about {topic}?"))
}

fn lower_first(text: &str) -> String {
    let first = words(text).next().unwrap_or("");
    if matches!(first, "The" | "A" | "An" | "Our" | "Their" | "These" | "Total" | "Loans" | "Visits") {
        let mut chars = text.chars();
        return chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect());
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_give_plain_questions() {
        assert_eq!(defined("The night bus is a service for students.").as_deref(), Some("What is the night bus?"));
        assert_eq!(defined("The bus was opened in May."), None);
        assert_eq!(counted("It lent 12,400 books in 2025.").as_deref(), Some("How many books does the text report?"));
        assert_eq!(counted("In 2025 visits were few."), None);
        assert_eq!(
            counted("The number of loans rose by 9 percent.").as_deref(),
            Some("By how much did the number of loans rise?")
        );
    }

    #[test]
    fn every_question_comes_with_its_answer() {
        let text = "The mobile library is a van that visits villages. It lent 12,400 books last year. Villages should \
                    keep the mobile library because it brings people together.";
        let found = ask(text, 5);
        assert!(found.len() >= 2, "{found:?}");
        assert!(found.iter().all(|q| q.question.ends_with('?') && text.contains(&q.answer[1..])), "{found:?}");
    }
}
