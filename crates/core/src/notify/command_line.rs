//! The command line of SetNotifyCmdLine as an argument vector, and back.
//!
//! No shell is involved and nothing is expanded. The rules are those by which programs on Windows split their command line, so that a
//! text written for the original gives the same arguments:
//!
//! * Words are separated by spaces and tabs.
//! * The first word is the program's name: if it begins with `"` it ends at the next `"`; backslashes mean nothing in it.
//! * In the other words `"` begins and ends a quoted part, in which spaces and tabs belong to the word. `\"` is a quote; of backslashes
//!   before a quote two make one; backslashes elsewhere stand for themselves. `""` within a quoted part is a quote.

/// Splits a command line. An empty text has no words.
pub fn split(text: &str) -> Vec<String> {
    let is_blank = |c: char| c == ' ' || c == '\t';
    let mut words = Vec::new();
    let text = text.trim_start_matches(is_blank);
    if text.is_empty() {
        return words;
    }
    let (first, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => text.split_at(text.find(is_blank).unwrap_or(text.len())),
    };
    words.push(first.to_owned());
    let mut chars = rest.chars().peekable();
    loop {
        while chars.next_if(|c| is_blank(*c)).is_some() {}
        if chars.peek().is_none() {
            return words;
        }
        let (mut word, mut quoted) = (String::new(), false);
        while let Some(&c) = chars.peek() {
            match c {
                '\\' => {
                    let mut count = 0;
                    while chars.next_if_eq(&'\\').is_some() {
                        count += 1;
                    }
                    if chars.peek() == Some(&'"') {
                        word.extend(std::iter::repeat_n('\\', count / 2));
                        if count % 2 == 1 {
                            chars.next();
                            word.push('"');
                        }
                    } else {
                        word.extend(std::iter::repeat_n('\\', count));
                    }
                }
                '"' => {
                    chars.next();
                    if quoted && chars.next_if_eq(&'"').is_some() {
                        word.push('"');
                    } else {
                        quoted = !quoted;
                    }
                }
                c if is_blank(c) && !quoted => break,
                c => {
                    chars.next();
                    word.push(c);
                }
            }
        }
        words.push(word);
    }
}

/// The command line that [`split`] makes these words of; `None` if the first word holds a quote, which no command line can say, or
/// there is no word.
pub fn join(words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    if first.contains('"') {
        return None;
    }
    let needs_quotes = |word: &str| word.is_empty() || word.contains([' ', '\t', '"']);
    let mut text = if needs_quotes(first) { format!("\"{first}\"") } else { first.clone() };
    for word in rest {
        text.push(' ');
        if !needs_quotes(word) {
            text.push_str(word);
            continue;
        }
        text.push('"');
        let mut backslashes = 0;
        for c in word.chars() {
            match c {
                '\\' => backslashes += 1,
                '"' => {
                    text.extend(std::iter::repeat_n('\\', backslashes + 1));
                    backslashes = 0;
                }
                _ => backslashes = 0,
            }
            text.push(c);
        }
        text.extend(std::iter::repeat_n('\\', backslashes));
        text.push('"');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn words_as_programs_on_windows_see_them() {
        for (text, words) in [
            ("", &[][..]),
            ("  ", &[]),
            ("/bin/x", &["/bin/x"]),
            ("  /bin/x\t-a  b ", &["/bin/x", "-a", "b"]),
            (r#""/opt/my prog" "a b" c"#, &["/opt/my prog", "a b", "c"]),
            (r#""/opt/my prog"#, &["/opt/my prog"]),
            (r#"p "a""b" c"#, &["p", "a\"b", "c"]),
            (r#"p a\b a\\b"#, &["p", r"a\b", r"a\\b"]),
            (r#"p a\"b "c\\" d\\\"e"#, &["p", "a\"b", r"c\", r#"d\"e"#]),
            (r#"p "" x"#, &["p", "", "x"]),
            (r#"p $HOME `id` ;rm * 'a b'"#, &["p", "$HOME", "`id`", ";rm", "*", "'a", "b'"]),
            (r"C:\x\ y", &[r"C:\x\", "y"]),
        ] {
            assert_eq!(split(text), owned(words), "{text}");
        }
    }

    #[test]
    fn a_first_word_with_a_quote_has_no_command_line() {
        assert_eq!(join(&owned(&["a\"b"])), None);
        assert_eq!(join(&[]), None);
        assert_eq!(join(&owned(&["/a b", "c"])).as_deref(), Some("\"/a b\" c"));
    }

    proptest! {
        #[test]
        fn what_is_joined_is_split_into_the_same_words(
            first in "[a-z/\\\\ \t]{1,8}",
            rest in prop::collection::vec("[a-c\"\\\\ \t]{0,8}", 0..5),
        ) {
            let mut words = vec![first];
            words.extend(rest);
            let text = join(&words).expect("no quote in the first word");
            prop_assert_eq!(split(&text), words);
        }

        #[test]
        fn any_text_can_be_split(text in "\\PC{0,40}") {
            prop_assert!(split(&text).len() <= text.len() + 1);
        }
    }
}
