//! `sqlparser` as an oracle: what both accept must mean the same.
//!
//! Its syntax tree is printed back as the plainest statement with that meaning (every literal escaped, every
//! condition in parentheses), and that statement must parse into the same as the original one. It is never fed from
//! the wire: short hostile statements overflow its stack.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enums of sqlparser have many variants and are not ours"
)]

use comet_core::Config;
use comet_core::cometql::{Expr, Limits, Statement, parse};
use proptest::prelude::*;
use sqlparser::ast::{self, BinaryOperator, SetExpr, UnaryOperator, Value};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

fn own(text: &str) -> Option<Statement> {
    let mut limits = Limits::of(&Config::default());
    limits.conditions_max = 100;
    parse(text.as_bytes(), &limits).ok()
}

/// What `sqlparser` understood, printed back; `None` if it does not accept the statement or it is none of ours.
fn reprint(text: &str) -> Option<String> {
    let [statement] = <[_; 1]>::try_from(Parser::parse_sql(&MySqlDialect {}, text).ok()?).ok()?;
    if let ast::Statement::Insert(insert) = &statement {
        print_insert(insert)
    } else if let ast::Statement::Delete(delete) = &statement {
        print_delete(delete)
    } else if let ast::Statement::Query(query) = &statement {
        print_select(query)
    } else {
        None
    }
}

/// `\%` and `\_` keep their backslash when they are decoded, so it is not doubled before.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace("\\\\%", "\\%")
        .replace("\\\\_", "\\_");
    format!("\"{}\"", escaped.replace('"', "\"\"").replace('\0', "\\0"))
}

fn name(name: &ast::ObjectName) -> Option<String> {
    let [ast::ObjectNamePart::Identifier(ident)] = &name.0[..] else {
        return None;
    };
    Some(quoted(&ident.value))
}

fn comma<T>(items: &[T], print: impl Fn(&T) -> Option<String>) -> Option<String> {
    Some(items.iter().map(print).collect::<Option<Vec<_>>>()?.join(", "))
}

fn print_insert(insert: &ast::Insert) -> Option<String> {
    let ast::TableObject::TableName(table) = &insert.table else {
        return None;
    };
    let SetExpr::Values(values) = &*insert.source.as_ref()?.body else {
        return None;
    };
    let rows = comma(&values.rows, |row| {
        Some(format!("({})", comma(&row.content, value)?))
    })?;
    let columns = match &insert.columns[..] {
        [] => String::new(),
        columns => format!("({})", comma(columns, name)?),
    };
    Some(format!("INSERT INTO {} {columns} VALUES {rows}", name(table)?))
}

fn print_delete(delete: &ast::Delete) -> Option<String> {
    let ast::FromTable::WithFromKeyword(tables) = &delete.from else {
        return None;
    };
    let mut text = format!(
        "DELETE FROM {}{}",
        table(tables)?,
        filter(delete.selection.as_ref())?
    );
    if !delete.order_by.is_empty() {
        text += &format!(" ORDER BY {}", comma(&delete.order_by, order_key)?);
    }
    if let Some(limit) = &delete.limit {
        text += &format!(" LIMIT {limit}");
    }
    Some(text)
}

fn print_select(query: &ast::Query) -> Option<String> {
    let select = query.body.as_select()?;
    let columns = comma(&select.projection, |item| match item {
        ast::SelectItem::UnnamedExpr(ast::Expr::Function(count)) => Some(count.to_string()),
        ast::SelectItem::UnnamedExpr(expr) => column(expr),
        ast::SelectItem::ExprWithAlias { expr, alias } => {
            Some(format!("{} AS {}", column(expr)?, quoted(&alias.value)))
        }
        ast::SelectItem::Wildcard(_) => Some("*".into()),
        ast::SelectItem::ExprWithAliases { .. } | ast::SelectItem::QualifiedWildcard(..) => None,
    })?;
    let mut text = format!(
        "SELECT {columns} FROM {}{}",
        table(&select.from)?,
        filter(select.selection.as_ref())?
    );
    if let Some(order) = &query.order_by {
        let ast::OrderByKind::Expressions(keys) = &order.kind else {
            return None;
        };
        text += &format!(" ORDER BY {}", comma(keys, order_key)?);
    }
    match &query.limit_clause {
        None => {}
        Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => {
            text += &format!(" LIMIT {limit} OFFSET {offset}");
        }
        Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => {
            let offset = offset
                .as_ref()
                .map_or_else(|| "0".into(), |offset| offset.value.to_string());
            text += &format!(" LIMIT {offset}, {}", limit.as_ref()?);
        }
    }
    Some(text)
}

fn table(from: &[ast::TableWithJoins]) -> Option<String> {
    let [table] = from else {
        return None;
    };
    let ast::TableFactor::Table {
        name: table_name,
        alias: None,
        ..
    } = &table.relation
    else {
        return None;
    };
    if table.joins.is_empty() {
        name(table_name)
    } else {
        None
    }
}

fn order_key(key: &ast::OrderByExpr) -> Option<String> {
    let descending = matches!(key.options.sort, Some(ast::OrderBySort::Desc));
    Some(format!(
        "{}{}",
        column(&key.expr)?,
        if descending { " DESC" } else { "" }
    ))
}

fn column(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Identifier(ident) => Some(quoted(&ident.value)),
        ast::Expr::Value(_) => value(expr),
        _ => None,
    }
}

fn value(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Identifier(ident) => Some(quoted(&ident.value)),
        ast::Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => Some(format!("-{expr}")),
        ast::Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(quoted(text)),
            Value::Number(digits, _) => Some(digits.clone()),
            Value::Null => Some("NULL".into()),
            _ => None,
        },
        _ => None,
    }
}

fn filter(filter: Option<&ast::Expr>) -> Option<String> {
    filter.map_or(Some(String::new()), |expr| {
        Some(format!(" WHERE {}", condition(expr)?))
    })
}

fn condition(expr: &ast::Expr) -> Option<String> {
    let not = |negated: &bool| if *negated { "NOT " } else { "" };
    Some(match expr {
        ast::Expr::Nested(inner) => condition(inner)?,
        ast::Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => format!("(NOT {})", condition(expr)?),
        ast::Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And | BinaryOperator::Or => {
                format!("({} {op} {})", condition(left)?, condition(right)?)
            }
            _ => format!("({} {op} {})", column(left)?, value(right)?),
        },
        ast::Expr::IsNull(expr) => format!("({} IS NULL)", column(expr)?),
        ast::Expr::IsNotNull(expr) => format!("({} IS NOT NULL)", column(expr)?),
        ast::Expr::InList { expr, list, negated } => {
            format!("({} {}IN ({}))", column(expr)?, not(negated), comma(list, value)?)
        }
        ast::Expr::Between {
            expr,
            negated,
            low,
            high,
        } => format!(
            "({} {}BETWEEN {} AND {})",
            column(expr)?,
            not(negated),
            value(low)?,
            value(high)?
        ),
        ast::Expr::Like {
            negated,
            any: false,
            expr,
            pattern,
            escape_char: None,
        } => format!("({} {}LIKE {})", column(expr)?, not(negated), value(pattern)?),
        _ => return None,
    })
}

/// AND below AND and OR below OR made flat: how parentheses were set makes no difference.
fn flat(expr: Expr) -> Expr {
    let flatten = |parts: Vec<Expr>, inner: fn(Expr) -> Result<Vec<Expr>, Expr>| {
        let split = |part| inner(flat(part)).unwrap_or_else(|other| vec![other]);
        parts.into_iter().flat_map(split).collect()
    };
    match expr {
        Expr::And(parts) => Expr::And(flatten(parts, |part| {
            if let Expr::And(inner) = part {
                Ok(inner)
            } else {
                Err(part)
            }
        })),
        Expr::Or(parts) => Expr::Or(flatten(parts, |part| {
            if let Expr::Or(inner) = part {
                Ok(inner)
            } else {
                Err(part)
            }
        })),
        Expr::Not(inner) => Expr::Not(Box::new(flat(*inner))),
        Expr::Compare { .. }
        | Expr::In { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::IsNull { .. } => expr,
    }
}

fn normal(mut statement: Statement) -> Statement {
    if let Statement::Select(select) = &mut statement {
        select.filter = select.filter.take().map(flat);
    } else if let Statement::Delete(delete) = &mut statement {
        delete.filter = delete.filter.take().map(flat);
    }
    statement
}

fn check(text: &str, plain: &str) {
    let ours = own(text).unwrap_or_else(|| panic!("refused: {text}"));
    let theirs = own(plain).unwrap_or_else(|| panic!("refused: {plain}\nfrom: {text}"));
    assert_eq!(normal(ours), normal(theirs), "{text}\n{plain}");
}

/// Everything in the golden tables that both accept. Literals that protocol.md 7.4 decodes in its own way are not
/// among them.
#[test]
fn golden_statements() {
    let tables = [
        include_str!("cometql_golden/published.txt"),
        include_str!("cometql_golden/grammar.txt"),
        include_str!("cometql_golden/tables.txt"),
    ];
    let mut compared = 0;
    for line in tables.iter().flat_map(|table| table.lines()) {
        let Some(statement) = line.strip_prefix("ok\t") else {
            continue;
        };
        if let Some(plain) = reprint(statement) {
            check(statement, &plain);
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} statements were compared");
}

/// Blanks and comments.
fn gap() -> impl Strategy<Value = &'static str> {
    let comments = ["/**/", "/* it's */", " -- \"x\n", " #'\n", " /*/ */ "];
    prop_oneof![
        2 => proptest::sample::select(&[" ", "\n", "\t ", "\r\n"][..]),
        1 => proptest::sample::select(comments.to_vec()),
    ]
}

fn literal() -> impl Strategy<Value = String> {
    let text = r#"[a-z'"`\\%_\n ü;#()0-9]{0,8}"#;
    let quote = |text: String, quote: char| {
        let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
        format!(
            "{quote}{}{quote}",
            escaped.replace(quote, &format!("{quote}{quote}"))
        )
    };
    prop_oneof![
        text.prop_map(move |text| quote(text, '"')),
        text.prop_map(move |text| quote(text, '\'')),
        text.prop_map(|text| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))),
        Just(r#""\%\_\q\t\"""#.to_string()),
        (-20i64..2000).prop_map(|n| n.to_string()),
        (0u8..20, 0u8..20).prop_map(|(n, m)| format!("{n}.{m}")),
        "[a-z_][a-z0-9_]{3,6}x".prop_map(|word| word),
        Just("NULL".into()),
    ]
}

fn column_name() -> impl Strategy<Value = String> {
    proptest::sample::select(&["name", "users", "USERS", "`name`", "`Users`"][..]).prop_map(String::from)
}

/// A condition as tokens, between which gaps go.
fn condition_tokens() -> impl Strategy<Value = Vec<String>> {
    let how = proptest::sample::select(&["=", "<>", "!=", "<", "<=", ">", ">="][..]);
    let not = prop_oneof![Just(vec![]), Just(vec!["Not".to_string()])];
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    let leaf = prop_oneof![
        (column_name(), how, literal()).prop_map(|(name, how, value)| vec![name, how.into(), value]),
        (
            column_name(),
            not.clone(),
            proptest::collection::vec(literal(), 1..4)
        )
            .prop_map(|(name, not, values)| {
                [
                    vec![name],
                    not,
                    vec!["in".into(), "(".into(), values.join(","), ")".into()],
                ]
                .concat()
            }),
        (column_name(), not.clone(), literal(), literal()).prop_map(|(name, not, low, high)| {
            [vec![name], not, vec!["between".into(), low, "AND".into(), high]].concat()
        }),
        (column_name(), not, literal()).prop_map(|(name, not, pattern)| [
            vec![name],
            not,
            vec!["LIKE".into(), pattern]
        ]
        .concat()),
        column_name().prop_map(move |name| [vec![name], words("IS not NULL")].concat()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let pair = (inner.clone(), prop_oneof![Just("and"), Just("Or")], inner.clone());
        prop_oneof![
            pair.prop_map(|(a, how, b)| [a, vec![how.into()], b].concat()),
            inner
                .clone()
                .prop_map(|inner| [vec!["NOT".into()], inner].concat()),
            inner.prop_map(|inner| [vec!["(".into()], inner, vec![")".into()]].concat()),
        ]
    })
}

/// Joins tokens by gaps, taken in turn.
fn join(tokens: &[String], gaps: &[&str]) -> String {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        text += token;
        text += gaps[at % gaps.len()];
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn selects(condition in condition_tokens(), gaps in proptest::collection::vec(gap(), 1..9), limit in 0u8..3) {
        let limit = ["", "limit 3", "LIMIT 3 , 4"][usize::from(limit)];
        let head = ["SELECT", "name", ",", "`users`", "as", "n", "From", "pipes", "wHere"].map(String::from);
        let tail = ["order", "BY", "users", "desc", ",", "name", limit].map(String::from);
        let text = join(&[&head[..], &condition, &tail].concat(), &gaps);
        let plain = reprint(&text);
        prop_assert!(plain.is_some(), "sqlparser refuses {}", text);
        check(&text, &plain.expect("just seen"));
    }

    #[test]
    fn inserts(values in proptest::collection::vec(literal(), 1..5), gaps in proptest::collection::vec(gap(), 1..9)) {
        // A column without a decoding of its own.
        let head = ["insert", "INTO", "revoked_tokens", "(", "`TOKEN`", ")", "Values"];
        let mut tokens = head.map(String::from).to_vec();
        for (at, value) in values.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            tokens.extend([comma, "(", value, ")"].map(String::from));
        }
        let text = join(&tokens, &gaps);
        if own(&text).is_some() {
            let plain = reprint(&text);
            prop_assert!(plain.is_some(), "sqlparser refuses {}", text);
            check(&text, &plain.expect("just seen"));
        }
    }
}
