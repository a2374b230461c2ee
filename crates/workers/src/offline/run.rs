//! Dispatch to the methods.

use kapelle_core::{Category, TaskError};
use serde_json::{Value, json};

use super::{Method, analysis, category, keywords, language, questions, sentiment, summary};

/// Length below which a text is processed at once, in bytes; a longer one goes to a thread for blocking work.
const AT_ONCE: usize = 16 << 10;

/// Runs a method over the text of an input. The text is the property `text`, or else the longest string of the input.
///
/// # Errors
/// `invalid_input` without text; `model_required` when the method does not know its language.
pub async fn run(method: Method, input: Value) -> Result<Value, TaskError> {
    if text_of(&input).is_none_or(|text| text.len() <= AT_ONCE) {
        return apply(method, &input);
    }
    let done = tokio::task::spawn_blocking(move || apply(method, &input)).await;
    done.unwrap_or_else(|error| Err(TaskError::new(Category::Crashed, format!("the offline method ended: {error}"))))
}

fn apply(method: Method, input: &Value) -> Result<Value, TaskError> {
    let text = text_of(input)
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| TaskError::new(Category::InvalidInput, "the input has no text: pass it as `text`"))?;
    let count = |name: &str, default: usize| {
        let asked = input.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        asked.unwrap_or(default).clamp(1, 100)
    };
    if matches!(method, Method::Sentiment | Method::Category | Method::Questions | Method::Analysis) {
        english_only(method, text)?;
    }
    let value = match method {
        Method::Language => serde_json::to_value(language::detect(text)),
        Method::Sentiment => serde_json::to_value(sentiment::analyse(text)),
        Method::Keywords => Ok(json!({ "keywords": keywords::extract(text, count("max", 10)) })),
        Method::Summary => serde_json::to_value(summary::summarise(text, count("max_sentences", 5))),
        Method::Category => {
            let list = input.get("categories").and_then(Value::as_array);
            let allowed: Vec<String> =
                list.into_iter().flatten().filter_map(Value::as_str).take(200).map(str::to_owned).collect();
            let subject = category::classify(text, &allowed).ok_or_else(|| {
                let message = "no word of the text speaks for any of the categories: a model is needed to choose one";
                TaskError::new(Category::ModelRequired, message)
            })?;
            serde_json::to_value(subject)
        }
        Method::Questions => Ok(json!({ "questions": questions::ask(text, count("count", 5)) })),
        Method::Analysis => serde_json::to_value(analysis::analyse(text)),
        Method::None => {
            return Err(TaskError::new(
                Category::ModelRequired,
                "this needs a model: there is no offline method for it",
            ));
        }
    };
    value.map_err(|error| TaskError::new(Category::Internal, error.to_string()))
}

/// Refuses a text in another language for a method that knows English alone, rather than answer at random.
fn english_only(method: Method, text: &str) -> Result<(), TaskError> {
    let found = language::detect(text);
    if !found.reliable || found.code == "eng" {
        return Ok(());
    }
    let message =
        format!("the offline method `{method}` works on English only, and this looks like {}", found.language);
    Err(TaskError::new(Category::ModelRequired, message))
}

fn text_of(input: &Value) -> Option<&str> {
    if let Some(text) = input.as_str().or_else(|| input.get("text").and_then(Value::as_str)) {
        return Some(text);
    }
    let values = input.as_object()?.values();
    values.filter_map(Value::as_str).max_by_key(|text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const METHODS: [Method; 7] = [
        Method::Language,
        Method::Sentiment,
        Method::Keywords,
        Method::Summary,
        Method::Category,
        Method::Questions,
        Method::Analysis,
    ];

    proptest! {
        #[test]
        fn no_text_makes_a_method_panic(text in "\\PC{0,400}") {
            for method in METHODS {
                let _ = apply(method, &json!({ "text": text }));
            }
        }

        #[test]
        fn nor_do_words_and_marks(text in "([A-Za-z]{1,9}[.!? ,\n'\"0-9-]{1,3}){0,120}") {
            for method in METHODS {
                let _ = apply(method, &json!({ "text": text }));
            }
        }
    }

    #[test]
    fn ten_megabytes_of_anything_are_bounded() {
        let prose = "The branch at Orla Street lent 12,400 books in 2025, more than ever before. ";
        for text in [prose.repeat(10_000_000 / prose.len()), "a".repeat(10_000_000), "word ".repeat(2_000_000)] {
            for method in METHODS {
                let _ = apply(method, &json!({ "text": text }));
            }
        }
    }

    #[test]
    fn a_text_in_another_language_needs_a_model() {
        let french = "Le rapport annuel présente les résultats de la bibliothèque et les projets de l'année prochaine.";
        let error = apply(Method::Sentiment, &json!({ "text": french })).unwrap_err();
        assert_eq!(error.category, Category::ModelRequired);
        assert!(error.message.contains("looks like French"), "{error}");
    }

    #[tokio::test]
    async fn the_text_is_found_wherever_it_stands() {
        let input = json!({ "language": "en", "body": "It was a wonderful day and everybody was happy." });
        assert_eq!(run(Method::Sentiment, input).await.unwrap()["sentiment"], "positive");
        assert_eq!(run(Method::Summary, json!({ "n": 1 })).await.unwrap_err().category, Category::InvalidInput);
        let long = "Books are good for people. ".repeat(2_000);
        assert!(run(Method::Summary, json!({ "text": long })).await.is_ok());
    }
}
