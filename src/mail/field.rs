//! Writing a header field: whatever goes in, what comes out is one field, folded, in ASCII, that nothing can break out of
//! (RFC 5322, 2.2).

/// The most characters a line should have, without its line end (RFC 5322, 2.1.1).
const SHOULD: usize = 78;
/// Where a word that no line can hold is cut in two; a line must not have over 998 (RFC 5322, 2.1.1).
const MUST: usize = 900;

/// The field `name` with `words` in its body, a space or a fold between each two; ends with CRLF. A word is kept whole as far
/// as a line can hold it. No line has over 78 characters unless a word alone makes it so, and none over 998. What is not
/// printable ASCII becomes `?`, and words of nothing but spaces are left out, since a folded line must not be blank
/// (RFC 5322, 3.2.2). `name` is a field name of ours.
pub fn field<W: AsRef<str>>(name: &str, words: impl IntoIterator<Item = W>) -> String {
    let mut text = format!("{name}:");
    let mut column = text.len();
    let mut first = true;
    for word in words {
        let word = ascii(word.as_ref());
        // All of it is one octet a character now, so it can be cut anywhere.
        for piece in word.as_bytes().chunks(MUST).filter_map(|piece| std::str::from_utf8(piece).ok()) {
            if piece.trim().is_empty() {
                continue;
            }
            // The first word stays beside the name: a field whose first line is empty is legal, and often misread.
            if !first && column + 1 + piece.len() > SHOULD {
                text.push_str("\r\n");
                column = 0;
            }
            text.push(' ');
            text.push_str(piece);
            column += 1 + piece.len();
            first = false;
        }
    }
    text.push_str("\r\n");
    text
}

/// `text` with `?` for every character that is not printable ASCII.
pub fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_is_folded_between_words() {
        let text = field("X-Field", ["a".repeat(40), "b".repeat(40), "c".to_owned(), " ".to_owned()]);
        assert_eq!(text, format!("X-Field: {}\r\n {} c\r\n", "a".repeat(40), "b".repeat(40)));
    }

    #[test]
    fn nothing_breaks_out_of_a_field() {
        assert_eq!(field("X", ["a\r\nBcc: b", "\u{fc}%s\0"]), "X: a??Bcc: b ?%s?\r\n");
        assert_eq!(field("X", [""; 0]), "X:\r\n");
    }

    proptest! {
        #[test]
        fn any_words_give_one_field(words in prop::collection::vec("\\PC{0,60}|[\\r\\n :a]{0,30}|[x\u{e9}]{700,3000}", 0..12)) {
            let text = field("X-Field", &words);
            let body = text.strip_suffix("\r\n").unwrap();
            for (n, line) in body.split("\r\n").enumerate() {
                prop_assert!(line.len() <= 998 && line.bytes().all(|b| (32..=126).contains(&b)));
                prop_assert!(n == 0 || (line.starts_with(' ') && !line.trim().is_empty()));
                prop_assert!(line.len() <= 78 || words.iter().any(|word| word.chars().count() > 60));
            }
        }
    }
}
