//! Documents that are read, and documents that are refused.

use super::*;

fn document(inside: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">{inside}</metalink>"#
    )
}

#[test]
fn a_whole_document() {
    let (a, b, c) = ("a".repeat(64), "b".repeat(128), "c".repeat(64));
    let text = document(&format!(
        r#"<published>2026-01-01T00:00:00Z</published>
        <file name="example.ext">
          <size>14471447</size><identity>Example</identity>
          <hash type="md5">{}</hash><hash type="sha-256">{a}</hash><hash type="sha-512"> {b} </hash>
          <pieces length="10000000" type="sha-256"><hash>{c}</hash><hash>{a}</hash></pieces>
          <url location="de" priority="2">ftp://ftp.example.com/example.ext</url>
          <url priority="9">http://c.example/e?a=1&amp;b=2</url>
          <url>https://d.example/e</url>
          <url location="fr" priority="1">https://b.example/e</url>
          <url priority="1">https://b.example/e</url>
          <url priority="1">file:///etc/passwd</url>
          <metaurl mediatype="torrent">http://example.com/example.ext.torrent</metaurl>
          <x:url xmlns:x="urn:other" priority="1">http://x.example/</x:url>
        </file>
        <file name="dir/second"><hash type="blake3">{c}</hash></file>"#,
        "d".repeat(32)
    ));
    let file = find(text.as_bytes(), Some("example.ext")).unwrap();
    assert_eq!((file.name.as_str(), file.size), ("example.ext", Some(14_471_447)));
    assert_eq!(
        file.digests.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!("sha-256:{a}"), format!("sha-512:{b}")]
    );
    assert_eq!(file.urls, ["https://b.example/e", "http://c.example/e?a=1&b=2", "https://d.example/e"]);
    let pieces = file.pieces.unwrap();
    assert_eq!((pieces.length(), pieces.count()), (10_000_000, 2));
    assert_eq!(find(text.as_bytes(), Some("second")).unwrap().name, "dir/second");
    assert_eq!(find(text.as_bytes(), Some("third")), Err(MetalinkError::NotListed));
    assert_eq!(find(text.as_bytes(), None), Err(MetalinkError::NotListed), "which of the two?");
}

#[test]
fn refusals() {
    use MetalinkError as E;
    let hash = format!("<hash type='sha-256'>{}</hash>", "a".repeat(64));
    let file = |inside: &str| document(&format!("<file name='f'>{inside}</file>"));
    let deep = format!("{}{}", "<x>".repeat(20), "</x>".repeat(20));
    let urls: String = (0..=URLS_MAX).map(|n| format!("<url>http://h/{n}</url>")).collect();
    let bomb = format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>{}", "b".repeat(100), file(&hash));
    for (text, error) in [
        (String::new(), E::NotMetalink),
        ("<html/>".to_owned(), E::NotMetalink),
        ("<metalink xmlns='http://www.metalinker.org/'/>".to_owned(), E::NotMetalink),
        ("{}".to_owned(), E::NotMetalink),
        (bomb, E::Doctype),
        (file(&hash)[..150].to_owned(), E::Xml),
        (file(&format!("{hash}<url>&evil;</url>")), E::Xml),
        (file("</x>"), E::Xml),
        (file(""), E::NoDigest),
        (file("<hash type='md5'>0</hash>"), E::NoDigest),
        (file("<hash type='sha-256'>0</hash>"), E::Contradiction),
        (file(&format!("{hash}<hash type='sha-256'>{}</hash>", "b".repeat(64))), E::Contradiction),
        (file(&format!("{hash}<size>-1</size>")), E::Contradiction),
        (file(&format!("{hash}<size>9223372036854775808</size>")), E::Contradiction),
        (file(&format!("{hash}<pieces length='0' type='sha-256'/>")), E::Contradiction),
        (document(&deep), E::Limit),
        (file(&urls), E::Limit),
        (file(&format!("<size>{}</size>", " ".repeat(TEXT_MAX + 1))), E::Limit),
        (document("<file/>"), E::NotMetalink),
        (document(""), E::NotListed),
        (" ".repeat(LIST_BYTES_MAX + 1), E::TooLarge),
    ] {
        let shown: String = text.chars().take(200).collect();
        assert_eq!(find(text.as_bytes(), None), Err(error), "{shown}");
    }
    assert_eq!(find(b"\xff", None), Err(E::Xml));
}

#[test]
fn pieces_that_do_not_cover_the_file_are_not_used() {
    let a = "a".repeat(64);
    for (size, length, count, used) in
        [(10, 4, 3, true), (8, 4, 2, true), (10, 4, 2, false), (10, 4, 4, false)]
    {
        let hashes = format!("<hash>{a}</hash>").repeat(count);
        let text = document(&format!(
            "<file name='f'><size>{size}</size><hash type='sha-256'>{a}</hash>\
             <pieces length='{length}' type='sha-256'>{hashes}</pieces></file>"
        ));
        assert_eq!(find(text.as_bytes(), None).unwrap().pieces.is_some(), used, "{size} {length} {count}");
    }
}

#[test]
fn many_mirrors_are_cut_to_the_best() {
    let urls: String = (0..100).map(|n| format!("<url priority='{}'>http://h/{n}</url>", 100 - n)).collect();
    let text =
        document(&format!("<file name='f'><hash type='sha-256'>{}</hash>{urls}</file>", "a".repeat(64)));
    let file = find(text.as_bytes(), None).unwrap();
    assert_eq!((file.urls.len(), file.urls[0].as_str()), (MIRRORS_MAX, "http://h/99"));
}
