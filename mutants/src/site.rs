//! Finds the places of a source file where a mistake could have been made, and says what the mistakes would be.
//!
//! Only code that runs is looked at: no tests, constants, patterns or macros (an assertion is no rule of its own). A
//! `while` keeps its condition: making loops endless teaches nothing.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the language has many more kinds of expressions than there are mistakes"
)]

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ReturnType, Stmt, Type, UnOp};

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mistake {
    /// What a person calls it.
    pub(crate) what: String,
    /// The source text that takes the place of the site's; unused where something is left out.
    pub(crate) text: String,
}

/// How the mistakes of a site are woven into the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weave {
    /// The site is an expression; each mistake is another expression.
    Choice,
    /// The site is a statement; the mistake is to forget it.
    Omission,
    /// The site is the empty place after a function's brace; each mistake returns something at once.
    Return,
}

/// A place with at least one mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Site {
    pub(crate) bytes: Range<usize>,
    pub(crate) line: usize,
    pub(crate) function: String,
    pub(crate) weave: Weave,
    pub(crate) mistakes: Vec<Mistake>,
}

/// All sites of a file, in the order of their beginning, an outer one before what it contains.
pub(crate) fn sites(source: &str) -> Result<Vec<Site>, syn::Error> {
    let file = syn::parse_file(source)?;
    let mut finder = Finder {
        source,
        function: Vec::new(),
        found: Vec::new(),
    };
    finder.visit_file(&file);
    let mut found = finder.found;
    found.sort_by_key(|site| (site.bytes.start, std::cmp::Reverse(site.bytes.end)));
    Ok(found)
}

struct Finder<'s> {
    source: &'s str,
    /// Type and name of where we are; empty outside of functions.
    function: Vec<String>,
    found: Vec<Site>,
}

impl Finder<'_> {
    fn text(&self, node: &impl Spanned) -> &str {
        &self.source[node.span().byte_range()]
    }

    fn site(&mut self, node: &impl Spanned, weave: Weave, mistakes: Vec<Mistake>) {
        if mistakes.is_empty() {
            return;
        }
        let span = node.span();
        self.found.push(Site {
            bytes: span.byte_range(),
            line: span.start().line,
            function: self.function.join("::"),
            weave,
            mistakes,
        });
    }

    /// The body of a function, if it is one that runs.
    fn body(&mut self, name: &str, output: &ReturnType, block: &syn::Block) {
        self.function.push(name.to_owned());
        let inner = self.source[block.span().byte_range()]
            .trim_matches(['{', '}'])
            .trim();
        if !inner.is_empty() {
            let mistakes = returns(output)
                .iter()
                .filter(|value| **value != inner)
                .map(|value| Mistake {
                    what: format!("return {value} at once").replace("return () at", "return at"),
                    text: (*value).to_owned(),
                })
                .collect();
            let at = block.brace_token.span.open().byte_range().end;
            self.site(block, Weave::Return, mistakes);
            if let Some(site) = self.found.last_mut()
                && site.weave == Weave::Return
                && site.bytes == block.span().byte_range()
            {
                site.bytes = at..at;
            }
        }
        visit::visit_block(self, block);
        self.function.pop();
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if is_test(&item.attrs) {
            return;
        }
        self.function.push(self.text(&*item.self_ty).to_owned());
        visit::visit_item_impl(self, item);
        self.function.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) && item.sig.constness.is_none() {
            self.body(&item.sig.ident.to_string(), &item.sig.output, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        // How something looks in a log is no rule, and what checks our invariants is a test itself.
        let no_rule = item.sig.ident == "fmt" || item.sig.ident == "check";
        if !is_test(&item.attrs) && item.sig.constness.is_none() && !no_rule {
            self.body(&item.sig.ident.to_string(), &item.sig.output, &item.block);
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(expression, Some(_)) = statement
            && can_be_forgotten(expression)
        {
            let short = first_line(self.text(expression));
            let mistake = Mistake {
                what: format!("forget `{short}`"),
                text: String::new(),
            };
            self.site(statement, Weave::Omission, vec![mistake]);
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let (left, right) = (self.text(&*binary.left), self.text(&*binary.right));
        let op = self.text(&binary.op);
        let mistakes = instead_of(&binary.op)
            .iter()
            .map(|other| Mistake {
                what: format!("{other} instead of {op}"),
                text: format!("{left} {other} {right}"),
            })
            .collect();
        if !has_let(&binary.left) && !has_let(&binary.right) {
            self.site(binary, Weave::Choice, mistakes);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        if matches!(unary.op, UnOp::Not(_)) {
            let text = self.text(&*unary.expr).to_owned();
            let what = "no !".to_owned();
            self.site(unary, Weave::Choice, vec![Mistake { what, text }]);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_if(&mut self, branch: &'ast syn::ExprIf) {
        if matches!(
            *branch.cond,
            Expr::MethodCall(_) | Expr::Call(_) | Expr::Macro(_) | Expr::Field(_)
        ) {
            self.site(&*branch.cond, Weave::Choice, always_or_never("if"));
        }
        visit::visit_expr_if(self, branch);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let syn::Pat::Guard(guarded) = &arm.pat {
            if !has_let(&guarded.guard) {
                self.site(&*guarded.guard, Weave::Choice, always_or_never("guard"));
            }
            self.visit_expr(&guarded.guard);
        }
        visit::visit_arm(self, arm);
    }
}

fn always_or_never(of: &str) -> Vec<Mistake> {
    ["true", "false"]
        .map(|value| Mistake {
            what: format!("{of} {value}"),
            text: value.to_owned(),
        })
        .into()
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || matches!(&attribute.meta, syn::Meta::List(list)
                if list.path.is_ident("cfg") && list.tokens.to_string().contains("test"))
    })
}

/// A statement that is there for what it does.
fn can_be_forgotten(expression: &Expr) -> bool {
    match expression {
        Expr::MethodCall(_) | Expr::Assign(_) => true,
        Expr::Call(call) => !matches!(&*call.func, Expr::Path(path) if path.path.is_ident("drop")),
        Expr::Binary(binary) => assigns(&binary.op),
        Expr::Try(tried) => can_be_forgotten(&tried.expr),
        _ => false,
    }
}

fn assigns(op: &BinOp) -> bool {
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}

fn instead_of(op: &BinOp) -> &'static [&'static str] {
    match op {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">"],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<"],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) | BinOp::Mul(_) => &["-"],
        BinOp::Sub(_) => &["+"],
        BinOp::Div(_) => &["*"],
        BinOp::Rem(_) => &["/"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitOr(_) => &["&"],
        BinOp::BitXor(_) => &["|"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::BitOrAssign(_) => &["&="],
        BinOp::BitAndAssign(_) => &["|="],
        _ => &[],
    }
}

/// `let` inside a condition: its bindings would not survive being wrapped.
fn has_let(expression: &Expr) -> bool {
    struct Lets(bool);
    impl<'ast> Visit<'ast> for Lets {
        fn visit_expr_let(&mut self, _: &'ast syn::ExprLet) {
            self.0 = true;
        }
        fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
        fn visit_block(&mut self, _: &'ast syn::Block) {}
    }
    let mut lets = Lets(false);
    lets.visit_expr(expression);
    lets.0
}

/// What a function could return without looking.
fn returns(output: &ReturnType) -> &'static [&'static str] {
    let ReturnType::Type(_, of) = output else {
        return &["()"];
    };
    match &**of {
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return &[];
            };
            match last.ident.to_string().as_str() {
                "bool" => &["true", "false"],
                "u8" | "u16" | "u32" | "u64" | "usize" | "i64" | "u128" => &["0", "1"],
                "Option" => &["None"],
                "Vec" => &["alloc::vec::Vec::new()"],
                "String" => &["alloc::string::String::new()"],
                "Result" if is_unit_result(last) => &["Ok(())"],
                _ => &[],
            }
        }
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => &["\"\""],
            _ => &[],
        },
        _ => &[],
    }
}

fn is_unit_result(segment: &syn::PathSegment) -> bool {
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return false;
    };
    matches!(arguments.args.first(),
        Some(syn::GenericArgument::Type(Type::Tuple(tuple))) if tuple.elems.is_empty())
}

fn first_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    line.chars().take(60).collect()
}
