//! The plan by itself.

use super::*;
use openbits_core::upload::client::SourceMark;

const NOW: i64 = 1_700_000_000_000;
const MIB: u64 = 1 << 20;

fn plan(size: u64, state: UploadState) -> S3 {
    let source = SourceMark { size, modified_s: 1, modified_ns: 0, inode: 1, device: 1 };
    let url = "http://127.0.0.1:9000/bucket/a%20b/key";
    let target = Target::new(url, source, "key", false).unwrap();
    let place = Place::with(target.url(), Credentials::new("AK", "secret"), "us-east-1".into()).unwrap();
    S3::at_place(place, target, state)
}

fn asked(plan: &mut S3) -> Ask {
    match plan.step(NOW) {
        Next::Send(ask) => *ask,
        other => panic!("{other:?}"),
    }
}

fn answer(plan: &mut S3, status: u16, headers: &[(&str, &str)], body: &str) -> Turn {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    plan.answer(&Heard { status, headers: &headers, body: body.as_bytes(), took_ms: 1, repeated: false }, NOW)
}

const NS: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

fn create(plan: &mut S3) {
    let ask = asked(plan);
    assert!(ask.method == "POST" && ask.target.starts_with("/bucket/a%20b/key?"), "{}", ask.target);
    assert!(ask.target.contains("uploads=") && ask.target.contains("X-Amz-Signature=") && !ask.credentials);
    let body = format!(
        "<InitiateMultipartUploadResult {NS}><Bucket>bucket</Bucket><Key>key</Key><UploadId>ID</UploadId></InitiateMultipartUploadResult>"
    );
    assert_eq!(answer(plan, 200, &[], &body), Turn::Next);
    assert!(plan.take_must_keep());
}

#[test]
fn parts_are_equal_and_few_enough() {
    assert_eq!(part_bytes(1), PART);
    assert_eq!(part_bytes(80_000 * MIB), PART);
    assert_eq!(part_bytes(100_000 * MIB), 10 * MIB);
    let most = 5 << 40;
    assert!(most / part_bytes(most) < PARTS_MAX && part_bytes(most).is_multiple_of(MIB));
}

#[test]
fn two_parts_and_a_completion_that_proves_itself() {
    let mut plan = plan(10 * MIB, UploadState::default());
    create(&mut plan);
    let ask = asked(&mut plan);
    assert!(ask.target.contains("partNumber=1") && ask.target.contains("uploadId=ID"), "{}", ask.target);
    assert_eq!(ask.body, Payload::File { offset: 0, length: 8 * MIB });
    assert_eq!(answer(&mut plan, 200, &[("etag", "\"a\"")], ""), Turn::Next);
    assert_eq!(asked(&mut plan).body, Payload::File { offset: 8 * MIB, length: 2 * MIB });
    answer(&mut plan, 200, &[("etag", "\"b\"")], "");
    let ask = asked(&mut plan);
    assert!(plan.take_must_keep() && plan.state().close_sent);
    let Payload::Text(body) = &ask.body else { panic!() };
    assert!(body.contains("<PartNumber>2</PartNumber>"), "{body}");
    // 200 with an error in it is none.
    let turn = answer(&mut plan, 200, &[], "<Error><Code>InternalError</Code></Error>");
    assert!(matches!(turn, Turn::Fail(fail) if fail.class == Class::Transient));
    // The next attempt: the upload is gone, the object is there.
    let mut plan = self::plan(10 * MIB, plan.state().clone());
    assert_eq!(asked(&mut plan).method, "GET");
    assert_eq!(answer(&mut plan, 404, &[], ""), Turn::Next);
    assert_eq!(asked(&mut plan).method, "HEAD");
    assert_eq!(answer(&mut plan, 200, &[("content-length", "10485760")], ""), Turn::Next);
    assert_eq!(plan.step(NOW), Next::Finished);
}

#[test]
fn a_resume_trusts_the_parts_that_it_sent_and_no_others() {
    let mut before = plan(20 * MIB, UploadState::default());
    create(&mut before);
    asked(&mut before);
    answer(&mut before, 200, &[("etag", "\"a\"")], "");
    let list = |etag: &str, size: u64| {
        format!(
            "<ListPartsResult {NS}><MaxParts>1000</MaxParts><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber>\
             <LastModified>x</LastModified><ETag>{etag}</ETag><Size>{size}</Size></Part></ListPartsResult>"
        )
    };
    for (etag, size, offset) in
        [("\"a\"", 8 * MIB, 8 * MIB), ("\"other\"", 8 * MIB, 0), ("\"a\"", 8 * MIB - 1, 0)]
    {
        let mut plan = plan(20 * MIB, before.state().clone());
        assert_eq!(asked(&mut plan).method, "GET");
        assert_eq!(answer(&mut plan, 200, &[], &list(etag, size)), Turn::Next);
        assert_eq!(asked(&mut plan).body, Payload::File { offset, length: 8 * MIB }, "{etag} {size}");
    }
    // The upload expired: another one, once.
    let mut plan = plan(20 * MIB, before.state().clone());
    asked(&mut plan);
    assert_eq!(answer(&mut plan, 404, &[], ""), Turn::Next);
    create(&mut plan);
}

#[test]
fn an_empty_file_and_urls() {
    let mut empty = plan(0, UploadState::default());
    assert_eq!(asked(&mut empty).method, "PUT");
    assert_eq!(answer(&mut empty, 200, &[], ""), Turn::Next);
    assert_eq!(empty.step(NOW), Next::Finished);
    let place =
        |url: &str| Place::with(&Url::parse(url).unwrap(), Credentials::new("AK", "s"), "eu-west-1".into());
    let aws = place("https://mine.s3.eu-west-1.amazonaws.com/a/b").unwrap();
    assert_eq!((aws.bucket.name(), aws.object.as_str()), ("mine", "a/b"));
    assert_eq!(aws.bucket.base_url().host_str(), Some("mine.s3.eu-west-1.amazonaws.com"));
    for bad in ["http://h/", "http://h/bucket", "http://h/bucket/", "http://h/bucket/folder/"] {
        assert_eq!(place(bad).unwrap_err().code, E_INVALIDARG, "{bad}");
    }
}
