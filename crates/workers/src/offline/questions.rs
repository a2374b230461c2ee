//! Questions that a text answers: its central sentences (see `summary`) turned by a few templates, in the manner of
//! Heilman and Smith, "Good Question! Statistical Ranking for Question Generation" (2010), without their parser. Every
//! question comes with the sentence that answers it. English alone; the wording is plain.

use serde::Serialize;

use super::{
    keywords, sentence,
    summary::{central, plain_point},
    words::StopWords,
};

/// The most words of a question's subject.
const SUBJECT_MAX: usize = 8;

/// Units of measure: amounts of these are not asked for as counts.
const UNITS: &[&str] = &[
    "across",
    "cents",
    "days",
    "degrees",
    "dollars",
    "euros",
    "feet",
    "grams",
    "hours",
    "kilograms",
    "kilometers",
    "kilometres",
    "less",
    "liters",
    "litres",
    "meters",
    "metres",
    "miles",
    "minutes",
    "months",
    "points",
    "pounds",
    "seconds",
    "times",
    "tons",
    "weeks",
    "years",
];

/// A question and the sentence that answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Question {
    pub question: String,
    /// The sentence of the text that answers it.
    pub answer: String,
}

/// Returns at most `max` questions in the order of the text.
#[must_use]
pub fn ask(text: &str, max: usize) -> Vec<Question> {
    let sentences = sentence::split(text);
    let wanted = max.saturating_mul(6).max(12);
    let central = central(&sentences, StopWords::of("eng"), wanted);
    let mut all: Vec<(usize, String)> = Vec::new();
    for &at in &central {
        let question = of_sentence(&sentences[at].text);
        if let Some(question) = question.filter(|question| all.iter().all(|(_, other)| other != question)) {
            all.push((at, question));
        }
    }
    // Taken evenly over the text, so that its end is covered too.
    let count = all.len().min(max);
    let mut found: Vec<_> = (0..count).map(|n| all[n * all.len() / count].clone()).collect();
    // Other sentences are asked for by their topic; phrases say more than single words.
    let mut topics = keywords::extract(text, 30);
    topics.sort_by_key(|topic| !topic.contains(' '));
    for topic in topics {
        if found.len() >= max {
            break;
        }
        let free = |at: &&usize| found.iter().all(|(used, _)| used != *at);
        let says = |at: &&usize| sentences[**at].text.to_lowercase().contains(&topic.to_lowercase());
        if let Some(&at) = central.iter().filter(free).find(says) {
            found.push((at, format!("What does the text say about “{topic}”?")));
        }
    }
    found.sort();
    let answer = |at: usize| plain_point(&sentences[at].text);
    found.into_iter().map(|(at, question)| Question { question, answer: answer(at) }).collect()
}

fn of_sentence(text: &str) -> Option<String> {
    let list: Vec<&str> = text.trim_end_matches(['.', '!', '"', '”']).split_whitespace().collect();
    why(&list)
        .or_else(|| advised(&list))
        .or_else(|| defined(&list))
        .or_else(|| change(&list))
        .or_else(|| counted(&list))
}

/// Turns "The studio was empty because ..." into "Why was the studio empty?".
fn why(list: &[&str]) -> Option<String> {
    let cause = list.iter().position(|word| *word == "because")?;
    let mut clause = &list[..cause];
    while let Some((last, rest)) = clause.split_last() {
        if !matches!(*last, "mainly" | "partly" | "largely" | "only" | "mostly" | "and") {
            break;
        }
        clause = rest;
    }
    let verb =
        clause.iter().position(|word| matches!(*word, "is" | "are" | "was" | "were" | "has" | "have" | "could"))?;
    let subject = subject(&clause[..verb])?;
    let rest = clause[verb + 1..].join(" ");
    let rest = rest.trim_end_matches([',', ';']);
    (clause.len() - verb > 1).then(|| format!("Why {} {subject} {rest}?", clause[verb]))
}

/// Turns "The board should order a bus." into "What should the board do?".
fn advised(list: &[&str]) -> Option<String> {
    let verb = list.iter().position(|word| matches!(*word, "should" | "must"))?;
    // The advice may stand after "clear:" or a comma.
    let start = list[..verb].iter().rposition(|word| word.ends_with([':', ',', ';'])).map_or(0, |at| at + 1);
    let subject = subject(&list[start..verb])?;
    match list.get(verb + 1) {
        Some(&"be") => Some(format!("What {} be done about {subject}?", list[verb])),
        Some(next) if next.chars().all(char::is_alphabetic) => Some(format!("What {} {subject} do?", list[verb])),
        _ => None,
    }
}

/// Turns "The pilot was a success." into "What was the pilot?".
fn defined(list: &[&str]) -> Option<String> {
    let verb = list.iter().take(SUBJECT_MAX).position(|word| matches!(*word, "is" | "are" | "was" | "were"))?;
    // "was opened" reports an event, "was a success" a property.
    let named = matches!(list.get(verb + 1), Some(&("a" | "an" | "the" | "our" | "one")));
    named.then(|| subject(&list[..verb])).flatten().map(|subject| format!("What {} {subject}?", list[verb]))
}

/// Turns "Loans of books rose by 9 percent." into "By how much did loans of books rise?".
fn change(list: &[&str]) -> Option<String> {
    const FORMS: &[(&str, &str)] = &[
        ("rose", "rise"),
        ("grew", "grow"),
        ("increased", "increase"),
        ("fell", "fall"),
        ("dropped", "drop"),
        ("decreased", "decrease"),
    ];
    let (verb, form) = list.iter().enumerate().find_map(|(at, word)| {
        let form = FORMS.iter().find(|(past, _)| past == word)?.1;
        (list.get(at + 1) == Some(&"by")).then_some((at, form))
    })?;
    let measured = list.get(verb + 2).is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    measured.then(|| subject(&list[..verb])).flatten().map(|subject| format!("By how much did {subject} {form}?"))
}

/// Turns "It lent 12,400 books." into "How many books does the text report?".
fn counted(list: &[&str]) -> Option<String> {
    let number = |word: &str| {
        let digits = word.replace(',', "");
        let year = digits.len() == 4 && digits == word;
        digits.len() >= 2 && digits.bytes().all(|b| b.is_ascii_digit()) && !year
    };
    let noun = |at: usize| {
        let noun = list.get(at + 1)?.trim_end_matches([',', ';', ':']);
        let plural = noun.ends_with('s') && noun.len() > 3 && noun.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let plural = plural || matches!(noun, "people" | "children" | "men" | "women");
        (plural && !UNITS.contains(&noun)).then_some(noun)
    };
    let noun = (0..list.len()).filter(|&at| number(list[at])).find_map(noun)?;
    Some(format!("How many {noun} does the text report?"))
}

/// Returns the words before a verb as they stand within a question; `None` when they are not a plain subject.
fn subject(list: &[&str]) -> Option<String> {
    let first = list.first()?;
    let plain = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’'));
    let leaning = ["It", "This", "That", "These", "They", "He", "She", "There", "Such", "If", "When", "While", "But"];
    if list.len() > SUBJECT_MAX || !list.iter().all(plain) || leaning.iter().any(|w| w.eq_ignore_ascii_case(first)) {
        return None;
    }
    let mut chars = first.chars();
    let initial = chars.next()?;
    // A name keeps its capital: it is followed by another, or is written in capitals.
    let name = chars.clone().any(char::is_uppercase)
        || (list.get(1).is_some_and(|next| next.starts_with(char::is_uppercase)) && !is_article(first));
    let first = if name { (*first).to_owned() } else { initial.to_lowercase().chain(chars).collect() };
    Some([&[first.as_str()], &list[1..]].concat().join(" "))
}

fn is_article(word: &str) -> bool {
    matches!(word, "The" | "A" | "An" | "Our" | "Their" | "Its" | "Each" | "Every" | "All" | "Some" | "Most")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_give_plain_questions() {
        for (text, question) in [
            ("The night bus is a service for students.", Some("What is the night bus?")),
            ("It lent 12,400 books in 2025.", Some("How many books does the text report?")),
            ("The number of loans rose by 9 percent.", Some("By how much did the number of loans rise?")),
            (
                "The studio at the Central Library was used little, mainly because nobody knew of it.",
                Some("Why was the studio at the Central Library used little?"),
            ),
            ("Orla Street must be closed.", Some("What must be done about Orla Street?")),
            ("The report is clear: the network should appoint a coordinator.", Some("What should the network do?")),
            ("The bus was opened in May.", None),
            ("It is a service.", None),
            ("In 2025 visits were few.", None),
        ] {
            assert_eq!(of_sentence(text).as_deref(), question, "{text}");
        }
    }

    #[test]
    fn every_question_comes_with_its_answer() {
        let text = "The mobile library is a van that visits villages. It lent 12,400 books last year. Villages should \
                    keep the mobile library because it brings people together.";
        let found = ask(text, 5);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|q| q.question.ends_with('?') && text.contains(&q.answer[1..])), "{found:?}");
    }
}
