//! "Did you mean": the known name that is nearest to an unknown one.

/// The name of `known` that `word` is most likely a slip of, if one is near enough: at most one edit in three characters.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let most = (word.chars().count() / 3).max(1);
    let scored = known.into_iter().map(|name| (edits(&word, &plain(name)), name));
    scored.filter(|(score, _)| *score <= most).min_by_key(|(score, _)| *score).map(|(_, name)| name)
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` to `b` (Damerau's distance, each
/// place edited once).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    // The first row and the first column: nothing into a word, and a word into nothing, takes its length.
    let mut rows: Vec<Vec<usize>> = (0..=a.len()).map(|i| (i..=i + b.len()).collect()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_inventions_are_not() {
        let known = ["banner", "block", "connect", "dot", "data", "connections_per_destination"];
        for (word, meant) in [
            ("baner", Some("banner")),
            ("bannre", Some("banner")),
            ("Connect", Some("connect")),
            ("dta", Some("data")),
            ("connections-per-destination", Some("connections_per_destination")),
            ("connection_per_destinations", Some("connections_per_destination")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
