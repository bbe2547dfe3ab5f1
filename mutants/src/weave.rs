//! Weaves all mistakes of a file into its text, each behind the question whether it is the one to be made.
//!
//! Inside of a mistake the text is the original; only the branch that is right contains further mistakes. So the text
//! grows with the depth of nesting, not with the number of combinations.

use crate::site::{Site, Weave};

/// A site with the number of its first mistake; the others follow.
pub(crate) struct Numbered {
    pub(crate) site: Site,
    pub(crate) first: u32,
}

/// The source with every mistake for which `wanted` says yes.
pub(crate) fn weave(source: &str, sites: &[Numbered], wanted: &impl Fn(u32) -> bool) -> String {
    let mut text = String::with_capacity(source.len() * 4);
    between(source, 0, source.len(), sites, wanted, &mut text);
    text
}

/// Writes `source[start..end]`, whose sites are `sites`.
fn between(
    source: &str,
    mut start: usize,
    end: usize,
    mut sites: &[Numbered],
    wanted: &impl Fn(u32) -> bool,
    text: &mut String,
) {
    while let Some((outer, rest)) = sites.split_first() {
        let bytes = &outer.site.bytes;
        text.push_str(&source[start..bytes.start]);
        let inside = rest
            .iter()
            .take_while(|inner| inner.site.bytes.start < bytes.end)
            .count();
        let (inner, after) = rest.split_at(inside);
        let whole = |text: &mut String| between(source, bytes.start, bytes.end, inner, wanted, text);
        place(outer, whole, wanted, text);
        start = bytes.end;
        sites = after;
    }
    text.push_str(&source[start..end]);
}

fn place(site: &Numbered, whole: impl Fn(&mut String), wanted: &impl Fn(u32) -> bool, text: &mut String) {
    let mistakes: Vec<_> = (site.first..)
        .zip(&site.site.mistakes)
        .filter(|(id, _)| wanted(*id))
        .collect();
    if mistakes.is_empty() {
        return whole(text);
    }
    match site.site.weave {
        Weave::Choice => {
            text.push('(');
            for (id, mistake) in mistakes {
                text.push_str(&format!(
                    "if crate::mutant::made({id}) {{ {} }} else ",
                    mistake.text
                ));
            }
            text.push_str("{ ");
            whole(text);
            text.push_str(" })");
        }
        Weave::Omission => {
            for (id, _) in mistakes {
                text.push_str(&format!("if !crate::mutant::made({id}) {{ "));
            }
            whole(text);
            text.push_str(" }");
        }
        Weave::Return => {
            for (id, mistake) in mistakes {
                text.push_str(&format!(
                    " if crate::mutant::made({id}) {{ return {}; }}",
                    mistake.text
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::sites;

    fn woven(source: &str) -> String {
        let mut first = 1;
        let numbered: Vec<Numbered> = sites(source)
            .unwrap()
            .into_iter()
            .map(|site| {
                let numbered = Numbered { site, first };
                first += numbered.site.mistakes.len() as u32;
                numbered
            })
            .collect();
        weave(source, &numbered, &|_| true)
    }

    #[test]
    fn what_is_inside_a_mistake_is_the_original() {
        assert_eq!(
            woven("fn f(a: u8, b: u8) -> u8 { a - (b - 1) }"),
            "fn f(a: u8, b: u8) -> u8 { if crate::mutant::made(1) { return 0; } if crate::mutant::made(2) { return 1; } \
             (if crate::mutant::made(3) { a + (b - 1) } else { a - ((if crate::mutant::made(4) { b + 1 } else { b - 1 })) }) }"
        );
    }

    #[test]
    fn a_statement_can_be_forgotten_and_its_parts_be_wrong() {
        assert_eq!(
            woven("impl A { fn f(&mut self) -> A { self.n += 1; A } }"),
            "impl A { fn f(&mut self) -> A { if !crate::mutant::made(1) { \
             (if crate::mutant::made(2) { self.n -= 1 } else { self.n += 1 }); } A } }"
        );
    }

    #[test]
    fn conditions_with_let_constants_and_tests_stay_as_they_are() {
        for source in [
            "const A: u8 = 1 + 2;",
            "const fn f() -> u8 { 1 + 2 }",
            "fn f() -> A { if let Some(a) = b && c { a } else { d } }",
            "#[cfg(test)] mod tests { fn f() -> u8 { 1 + 2 } }",
            "fn f() -> A { assert!(a < b); A }",
        ] {
            assert_eq!(woven(source), source);
        }
    }

    #[test]
    fn guards_are_always_or_never() {
        assert_eq!(
            woven("fn f() -> A { match a { b if c.d() => e, f => g } }"),
            "fn f() -> A { match a { b if (if crate::mutant::made(1) { true } else if crate::mutant::made(2) { false } \
             else { c.d() }) => e, f => g } }"
        );
    }
}
