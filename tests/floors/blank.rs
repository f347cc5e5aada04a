//! Rust text without its comments and literals, so that what is left can be searched for paths and calls.
//!
//! A lexer of forty lines and no parser: it knows where comments, strings and characters end, and nothing else.

/// The text with comments, strings and characters blanked out, byte for byte as long.
pub fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = code.chars().next_back().unwrap_or(' ');
        let length = literal(rest, before);
        let (gone, after) = rest.split_at(length.unwrap_or(c.len_utf8()));
        match length {
            Some(_) => code.extend(gone.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' })),
            None => code.push(c),
        }
        rest = after;
    }
    code
}

/// The length of the comment or literal that starts here.
fn literal(rest: &str, before: char) -> Option<usize> {
    let to = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(to("*/", 2));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        // A lifetime has no second quote where a character has it.
        let inside: Vec<char> = rest.chars().skip(1).take(2).collect();
        return matches!(inside[..], ['\\', _] | [_, '\'']).then(|| quoted(rest, '\''));
    }
    let hashes =
        rest.strip_prefix('r').filter(|_| !(before.is_alphanumeric() || before == '_') || before == 'b')?;
    let count = hashes.chars().take_while(|c| *c == '#').count();
    let raw = hashes[count..].starts_with('"');
    raw.then(|| to(&format!("\"{}", "#".repeat(count)), count + 2))
}

/// The length up to the closing quote, over what a backslash hides.
fn quoted(rest: &str, quote: char) -> usize {
    let mut hidden = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[test]
fn only_code_is_left() {
    for (text, left) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b */ c", "a         c"),
        (r#"f("b\"c", d)"#, "f(      , d)"),
        ("f(r#\"b\"c\"#, d)", "f(        , d)"),
        ("f('\"', '\\'', &'a b)", "f(   ,     , &'a b)"),
        ("for r in \"b\"", "for r in    "),
    ] {
        assert_eq!(blanked(text), left, "{text}");
    }
}
