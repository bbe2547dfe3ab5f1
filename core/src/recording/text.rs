//! Stand-ins for texts that nobody shall read: as long as the text, carried in frames in the same way (JSON or not,
//! escaped or not), and without its letters and digits. What remains is punctuation, blanks and the structure of JSON.

use alloc::string::String;

use crate::wire::json;

/// A text that begins so is carried like one with a backslash, whatever follows.
const MARK: &str = "A::";

/// The stand-in of a message or of user data.
pub(super) fn stand_in(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if json::is_valid(text) {
        json_stand_in(text, &mut out);
        return out;
    }
    let (mark, rest) = text.strip_prefix(MARK).map_or(("", text), |rest| (MARK, rest));
    out.push_str(mark);
    out.extend(rest.chars().map(letter));
    out
}

/// Of valid JSON: numbers stay numbers, words stay words, escapes stay escapes.
fn json_stand_in(text: &str, out: &mut String) {
    let mut chars = text.chars();
    let mut in_string = false;
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                in_string = !in_string;
                out.push('"');
            }
            '\\' => {
                out.push('\\');
                match chars.next() {
                    Some('u') => {
                        let digits = chars.by_ref().take(4).count();
                        out.push_str(if digits == 4 { "u0078" } else { "u" });
                    }
                    Some(escaped) => out.push(escaped),
                    None => {}
                }
            }
            '1'..='9' if !in_string => out.push('1'),
            _ if in_string => out.push(letter(char)),
            _ => out.push(char),
        }
    }
}

/// A character of the same length that says nothing; punctuation, blanks and control characters stay.
fn letter(char: char) -> char {
    match char {
        '0'..='9' => '0',
        _ if char.is_ascii_alphabetic() => 'x',
        _ if char.is_ascii() => char,
        _ => match char.len_utf8() {
            2 => 'é',
            3 => '一',
            _ => '😀',
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use proptest::prelude::*;

    #[test]
    fn nothing_of_the_text_is_left_but_its_shape() {
        for (text, expected) in [
            ("Meet at 18:30, Ann!", "xxxx xx 00:00, xxx!"),
            ("naïve 中文 🎈", "xxéxx 一一 😀"),
            (
                r#"{"name":"Ann \"A\" \u00e9","age":30.5e2,"ok":true,"no":null}"#,
                r#"{"xxxx":"xxx \"x\" \u0078","xxx":10.1e1,"xx":true,"xx":null}"#,
            ),
            (r#"["at 18:30",1830]"#, r#"["xx 00:00",1110]"#),
            ("A::12;secret", "A::00;xxxxxx"),
            ("007", "000"),
            ("", ""),
        ] {
            assert_eq!(stand_in(text), expected);
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[A:\"\\\\'{}\\[\\],0-9a-fu.e+ \\-\n]{0,24}",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just("[1,-0.5E+7,true,false,null,{\"a\":\"\\ud83d\\n\"}]".to_owned()),
        ]
    }

    /// So a replay with stand-ins sends frames of the same length, which is what redacted digests cover.
    fn frames(body: &str) -> [usize; 5] {
        let spelled = |push: fn(&mut String, &str)| {
            let mut out = String::new();
            push(&mut out, body);
            out.len()
        };
        [
            body.len(),
            usize::from(json::is_valid(body)) + 2 * usize::from(json::is_valid_within(body, 3)),
            usize::from(body.starts_with(MARK) || body.contains('\\')),
            spelled(json::push_string),
            spelled(json::push_literal),
        ]
    }

    proptest! {
        #[test]
        fn a_stand_in_is_carried_as_the_text(text in text()) {
            let stand_in = stand_in(&text);
            prop_assert_eq!(frames(&stand_in), frames(&text), "{}", stand_in);
            prop_assert_eq!(super::stand_in(&stand_in), stand_in, "a stand-in stands in for itself");
        }
    }
}
