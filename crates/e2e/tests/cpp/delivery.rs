//! Every row "call gives code" of `deliveryoptimization.h`, and its example.

use crate::rules::{NotDriven, Recommended, allowed_codes, judge_codes, run_rules, table};
use crate::{build_examples, no_compiler, said, user};
use openbits_e2e::{Prefix, User, served};
use openbits_testkit::authority::{Authority, Leaf};
use openbits_testkit::{Content, Exchange, Origin, Servers};

const SOURCES: &[&str] = &[
    "rules/main.cpp",
    "rules/delivery.cpp",
    "rules/delivery_properties.cpp",
    "rules/delivery_downloads.cpp",
    "rules/delivery_objects.cpp",
    "rules/delivery_jobs.cpp",
    "rules/delivery_lasting.cpp",
];

/// Answers that the page recommends (spec/delivery-optimization-com.md, sections named) where the reference lists S_OK alone, and what these
/// interfaces share with bits.h.
const RECOMMENDED: Recommended = &[
    ("IDOManager::EnumDownloads", 0x8007_0057), // 3: not one of the five properties
    ("IDODownload::Start", 0x80D0_2013),        // 4.1: final
    ("IDODownload::Start", 0x80D0_2200),        // 4.1: no Uri
    ("IDODownload::Start", 0x80D0_2018),        // 4.1: no sink
    ("IDODownload::Start", 0x80D0_5010),        // 4.2: length 0
    ("IDODownload::Start", 0x80D0_5012),        // 4.2: overlap
    ("IDODownload::Start", 0x80D0_2016),        // 8: a check without anything to check by
    ("IDODownload::Start", 0x8007_0003),        // 4.7: no folder
    ("IDODownload::Start", 0x8007_007B),        // 4.7: no path
    ("IDODownload::Start", 0x8019_0194),        // 4.4: the result of a Start that blocks
    ("IDODownload::Pause", 0x80D0_2013),        // 4.1
    ("IDODownload::Abort", 0x80D0_2013),        // 4.1
    ("IDODownload::Finalize", 0x80D0_2013),     // 4.1
    ("IDODownload::SetProperty", 0x8007_0057),  // 4.1: another type; 4.4: not a value
    ("IDODownload::SetProperty", 0x80D0_2012),  // 4.1: Id
    ("IDODownload::SetProperty", 0x8000_4002),  // 4.4: an object that is something else
    ("IDODownload::SetProperty", 0x80D0_2019),  // 8: a second sink
    ("IDODownload::SetProperty", 0x8000_4001),  // DecryptionInfo: docs/decisions/0028
    ("IDODownload::SetProperty", 0x8009_2003),  // 4.4: no certificate
    ("IDODownload::SetProperty", 0x8009_2004),  // none of this user's
    ("IDeliveryOptimizationJob2::AddFile", 0x8000_4002), // 5.3: another riid
    ("IDeliveryOptimizationJob2::AddFile", 0x80D0_5012), // 5.3
    ("IDeliveryOptimizationJob2::GetProperty", 0x8007_0490), // 5.3: there is no error
    ("IDeliveryOptimizationFile2::SetProperty", 0x8007_0057), // another type, as in 4.1
    ("IBackgroundCopyManager::CreateJob", 0x8000_4001), // 5.2: downloads only
    ("IBackgroundCopyManager::CreateJob", 0x8007_0057), // 5.2: at most 256 characters
    ("IBackgroundCopyJob::Resume", 0x80D0_200D), // 5.3
    ("IBackgroundCopyJob::SetNotifyFlags", 0x8000_4001), // 5.2: 0x20 is not supported
    ("IBackgroundCopyJob5::GetProperty", 0x8000_4001), // 5.1: ids 1 and 2 only
    ("IBackgroundCopyJob5::SetProperty", 0x8000_4001), // 5.1
    ("IBackgroundCopyFile5::GetProperty", 0x80D0_2011), // 5.1: id 1 only
    ("IBackgroundCopyFile5::SetProperty", 0x80D0_2012), // 5.2: read only
];

const NOT_DRIVEN: NotDriven = &[
    ("IDODownloadInternal", &[], "not exposed: nobody knows its identifier"),
    ("IDODownloadStatusCallback", &[], "the program answers it itself"),
    ("IBackgroundCopyCallback", &[], "the program answers these itself"),
    ("IBackgroundCopyManager::GetJob", &[0x8007_0005], "needs a second user"),
    ("IDeliveryOptimizationJob::AddFileWithRanges", &[0x8007_0005], "root may write everywhere"),
    ("IDeliveryOptimizationFile2::GetProperty", &[0x8007_000E], "memory is not made scarce"),
    ("IBackgroundCopyFile5::SetProperty", &[0], "the only property is read-only"),
];

/// A server that asks for a client's certificate, for the case delivery_certificate: where it is, and two certificates, of which the first is in
/// the user's store with its key. None without nginx.
fn asking(user: &User) -> Option<Servers> {
    let (known, clients) = (Authority::root("known"), Authority::root("clients"));
    let server = openbits_e2e::asking(&known, &clients)?;
    let (roots, store) = (
        user.sandbox().home().join("roots.pem"),
        user.sandbox().home().join(".config/openbits/certificates/my"),
    );
    std::fs::write(&roots, known.pem()).unwrap();
    user.policy(&format!("[tls]\nextra_ca = {:?}\n", roots.to_str().unwrap()));
    let [alice, bob] = ["alice", "bob"].map(|name| clients.issue(&Leaf::client("example", "build", name)));
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join("alice.pem"), format!("{}{}", alice.chain_pem, alice.key_pem)).unwrap();
    std::fs::write(user.path("known.der"), &alice.chain[0]).unwrap();
    std::fs::write(user.path("unknown.der"), &bob.chain[0]).unwrap();
    std::fs::write(user.path("asks.url"), format!("https://127.0.0.1:{}/f", server.port(0))).unwrap();
    Some(server)
}

fn rules(name: &str, flags: &[&str]) {
    if no_compiler() {
        return;
    }
    let user = user();
    let server = asking(&user);
    let (text, origin) = run_rules(name, SOURCES, flags, &user);
    let table = table("deliveryoptimization.json");
    judge_codes(&text, &allowed_codes(&table, "documented_returns"), RECOMMENDED, NOT_DRIVEN);
    // HttpCustomHeaders, as the origin saw them.
    let request = origin.requests("headers").pop().expect("the case delivery_headers fetches it");
    assert_eq!((request.header("x-first"), request.header("x-second")), (Some("one"), Some("two")));
    // HttpCustomAuthHeaders: to whom asked, and after that. The third request is of a download without them.
    let sent = |name| -> Vec<(Option<u16>, [Option<String>; 2])> {
        let headers = |request: &Exchange| {
            ["authorization", "x-key"].map(|name| request.header(name).map(str::to_owned))
        };
        origin.requests(name).iter().map(|request| (request.status, headers(request))).collect()
    };
    let none = || [None, None];
    let both = ["Bearer 7", "8"].map(|text| Some(text.to_owned()));
    assert_eq!(sent("challenge"), [(Some(401), none()), (Some(206), both), (Some(401), none())]);
    assert_eq!(sent("open"), [(Some(206), none())]);
    // SecurityContext, as the server saw it.
    if let Some(server) = server {
        assert_eq!(served(&server), ["CN=alice,OU=build,O=example"; 2]);
    }
}

#[test]
fn delivery_rules_with_four_byte_characters() {
    rules("delivery-plain", &[]);
}

#[test]
fn delivery_rules_with_short_wchar() {
    rules("delivery-short", &["-fshort-wchar"]);
}

#[test]
fn delivery_rules_with_char16() {
    rules("delivery-char16", &["-DOPENBITS_CHAR16"]);
}

#[test]
fn the_example_makes_the_calls_of_the_open_sdk() {
    if no_compiler() {
        return;
    }
    let prefix = Prefix::install();
    let example = build_examples(&prefix).join("delivery");
    let (origin, user) = (Origin::start(), user());
    let content = Content::new(7, 3 << 20);
    origin.put("f", content.clone());

    let output = prefix.run(&example, &user, &[]);
    assert_eq!(output.stdout, b"no downloads\n", "{}", said(&output));
    let output = prefix.run(&example, &user, &[&origin.url("f"), "f"]);
    assert!(output.status.success(), "{}", said(&output));
    openbits_e2e::assert_is(&user.path("f"), &content);

    let output = prefix.run(&example, &user, &[&origin.url("f"), "-", "0:100", "200:1000"]);
    assert!(output.status.success(), "{}", said(&output));
    let wanted = [content.byte_range(0, 100), content.byte_range(200, 1000)].concat();
    assert_eq!(output.stdout, wanted, "{} bytes", output.stdout.len());
    let output = prefix.run(&example, &user, &[&origin.url("f"), "-", "3145000:end"]);
    assert_eq!(output.stdout, content.byte_range(3_145_000, 728), "{}", said(&output).len());

    let output = prefix.run(&example, &user, &[&origin.url("nothing"), "g"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("0x80190194"), "{}", said(&output));
    let output = prefix.run(&example, &user, &[]);
    assert_eq!(output.stdout, b"no downloads\n", "{}", said(&output));
}
