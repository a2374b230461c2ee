//! Compiled forms of expressions, kept only while in use.
//!
//! The engine allocates 12 KB for every expression, however short. A definition of 100,000 steps would need more than a
//! gigabyte, so an expression is compiled once to check it, and again when a thread first evaluates it; each thread
//! keeps the last ones it evaluated.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    error::ExprError,
    expression::{explain, place},
    filters::ENVIRONMENT,
    guard::{Guard, Guarded},
    path::Path,
    stack::with_room,
    token::tokenize,
};

/// Programs that one thread keeps.
const KEPT: usize = 256;

/// A compiled expression with the mapping to positions of its text.
pub(super) struct Program {
    pub compiled: minijinja::Expression<'static, 'static>,
    pub guarded: Guarded,
}

/// Identity of an expression; the same text compiled twice has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProgramId(u64);

impl ProgramId {
    pub fn next() -> ProgramId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        ProgramId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

thread_local! {
    static PROGRAMS: RefCell<HashMap<ProgramId, Rc<Program>>> = RefCell::new(HashMap::new());
}

/// Result of checking a text without running it.
pub(super) struct Checked {
    pub references: Vec<Path>,
    /// Whether it is a path that must exist and nothing else.
    pub plain: bool,
    tokens: usize,
    guarded: Guarded,
}

/// Checks a text and adds the guards.
pub(super) fn check(source: &str) -> Result<Checked, ExprError> {
    let (tokens, _) = tokenize(source, 0, None)?;
    if tokens.is_empty() {
        return Err(ExprError::new(super::ExprErrorKind::Syntax, "the expression is empty").at(0));
    }
    let mut guard = Guard::default();
    guard.scan(source, &tokens)?;
    let plain = guard.is_one_path(&tokens);
    let (guarded, references) = guard.finish(source);
    Ok(Checked { references, plain, tokens: tokens.len(), guarded })
}

/// Compiles a checked text.
pub(super) fn compile(checked: Checked) -> Result<Program, ExprError> {
    let Checked { tokens, guarded, .. } = checked;
    let text = guarded.source.clone();
    match with_room(tokens, || ENVIRONMENT.compile_expression_owned(text)) {
        Ok(compiled) => Ok(Program { compiled, guarded }),
        Err(error) => Err(place(explain(&error), &error, &guarded)),
    }
}

/// Returns the program of a text that has been compiled before.
pub(super) fn of(id: ProgramId, source: &str) -> Result<Rc<Program>, ExprError> {
    let kept = PROGRAMS.with_borrow(|programs| programs.get(&id).cloned());
    if let Some(program) = kept {
        return Ok(program);
    }
    let program = Rc::new(compile(check(source)?)?);
    PROGRAMS.with_borrow_mut(|programs| {
        if programs.len() >= KEPT {
            programs.clear();
        }
        programs.insert(id, Rc::clone(&program));
    });
    Ok(program)
}
