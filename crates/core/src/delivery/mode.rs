//! DownloadMode: what the policy asks for, and what is in force (spec/delivery-optimization-com.md 10.1).

/// Number of the mode in force for a word of the policy `delivery_optimization.download_mode`. Machines do not share with each other yet, so
/// that the modes of peers (1 to 3) are in force as Simple (99). The default counts for what is no word of it.
pub fn in_force(word: &str) -> i32 {
    match word {
        "http-only" => 0,
        "bypass" => 100,
        _ => 99,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_peers_answer_as_simple() {
        let words = ["http-only", "lan", "group", "internet", "simple", "bypass", "?"];
        assert_eq!(words.map(in_force), [0, 99, 99, 99, 99, 100, 99]);
    }
}
