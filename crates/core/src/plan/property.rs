//! Whatever an origin does that labels its versions honestly: a file that the plan calls complete is one version, whole.

use super::*;
use crate::layout::{FileRange, LENGTH_TO_EOF, Layout};
use proptest::prelude::*;

/// One version: content that differs from every other at every byte.
#[derive(Clone, Debug)]
struct Version {
    number: u8,
    size: u64,
    etag: bool,
    modified: bool,
}

/// What the origin does with one request.
#[derive(Clone, Debug)]
struct Step {
    version: usize,
    honours_range: bool,
    honours_if_range: bool,
    cap: Option<u64>,
    shift: u8,
    hide_total: bool,
    chunked: bool,
    weak: bool,
    drop_validators: bool,
    status: u8,
    cut_at: Option<u64>,
    surplus: bool,
    new_attempt: bool,
}

fn version() -> impl Strategy<Value = Version> {
    (1..200_u64, any::<bool>(), any::<bool>()).prop_map(|(size, etag, modified)| Version {
        number: 0,
        size,
        etag,
        modified,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let rare = || prop::bool::weighted(0.1);
    (
        (0..4_usize, prop::bool::weighted(0.8), prop::bool::weighted(0.5), prop::option::of(1..80_u64)),
        (prop_oneof![9 => Just(0_u8), 1 => 1..4_u8], rare(), rare(), rare(), rare()),
        (
            prop_oneof![8 => Just(0_u8), 1 => 1..6_u8],
            prop::option::of(0..150_u64),
            rare(),
            prop::bool::weighted(0.3),
        ),
    )
        .prop_map(|(a, b, c)| Step {
            version: a.0,
            honours_range: a.1,
            honours_if_range: a.2,
            cap: a.3,
            shift: b.0,
            hide_total: b.1,
            chunked: b.2,
            weak: b.3,
            drop_validators: b.4,
            status: c.0,
            cut_at: c.1,
            surplus: c.2,
            new_attempt: c.3,
        })
}

fn byte(version: &Version, at: u64) -> u8 {
    // 4 versions: the low two bits tell which one a byte comes from, the others where.
    (u8::try_from(at % 64).unwrap() << 2) | version.number
}

fn headers(version: &Version, step: &Step) -> Vec<(&'static str, String)> {
    let mut list =
        vec![("date", "Sat, 21 Nov 2026 12:00:00 GMT".to_owned()), ("content-type", "x/y".to_owned())];
    if version.etag && !step.drop_validators {
        list.push(("etag", format!("{}\"v{}\"", if step.weak { "W/" } else { "" }, version.number)));
    }
    if version.modified && !step.drop_validators {
        list.push(("last-modified", format!("Sat, 21 Nov 2026 11:00:0{} GMT", version.number)));
    }
    list
}

/// The origin's answer to a request: head, and the body it would send.
fn serve(
    version: &Version,
    step: &Step,
    request: &Request,
) -> (u16, Framing, Vec<(&'static str, String)>, Vec<u8>) {
    let mut list = headers(version, step);
    let content: Vec<u8> = (0..version.size).map(|at| byte(version, at)).collect();
    match step.status {
        1 => return (503, Framing::Length(3), list, b"bad".to_vec()),
        2 => return (416, Framing::Length(0), list, Vec::new()),
        3 => {
            list.push(("location", format!("/hop{}", step.version)));
            return (302, Framing::Length(0), list, Vec::new());
        }
        // A first answer of a login page cannot be told from the file; only what is kept is protected from it.
        4 if request.if_range.is_some() => {
            return (200, Framing::Length(6), vec![("content-type", "text/html".into())], b"portal".to_vec());
        }
        _ => {}
    }
    let tags: Vec<&String> =
        list.iter().filter(|h| matches!(h.0, "etag" | "last-modified")).map(|h| &h.1).collect();
    let condition = request.if_range.as_ref().is_none_or(|wanted| tags.contains(&wanted));
    let first = request
        .range
        .as_ref()
        .filter(|_| step.honours_range && (condition || !step.honours_if_range))
        .map(|range| range.trim_start_matches("bytes=").split_once('-').unwrap())
        .map(|(first, last)| (first.parse::<u64>().unwrap(), last.parse::<u64>().ok()));
    let Some((first, last)) = first else {
        let framing = if step.chunked { Framing::Chunked } else { Framing::Length(version.size) };
        return (200, framing, list, content);
    };
    let first = first + u64::from(step.shift);
    if first >= version.size {
        list.push(("content-range", format!("bytes */{}", version.size)));
        return (416, Framing::Length(0), list, Vec::new());
    }
    let mut end = last.map_or(version.size, |last| (last + 1).min(version.size)).max(first + 1);
    if let Some(cap) = step.cap {
        end = end.min(first + cap);
    }
    let total = if step.hide_total { "*".to_owned() } else { version.size.to_string() };
    list.push(("content-range", format!("bytes {first}-{}/{total}", end - 1)));
    let body = content[usize::try_from(first).unwrap()..usize::try_from(end).unwrap()].to_vec();
    let framing = if step.chunked { Framing::Chunked } else { Framing::Length(end - first) };
    (206, framing, list, body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_complete_file_is_exactly_one_version(
        mut versions in prop::collection::vec(version(), 4),
        steps in prop::collection::vec(step(), 1..25),
        equal_sizes in any::<bool>(),
    ) {
        for (index, version) in versions.iter_mut().enumerate() {
            version.number = u8::try_from(index).unwrap();
        }
        if equal_sizes {
            let size = versions[0].size;
            versions.iter_mut().for_each(|version| version.size = size);
        }
        let limits = Limits { max_redirects: 5, allow_https_to_http: false };
        let new = |size, done, validator| FilePlan::new("http://h/f.bin", size, done, validator, limits).unwrap();
        let (mut plan, _) = new(None, RangeSet::new(), Validator::default());
        let mut file: Vec<u8> = Vec::new();
        let mut failed = false;
        for step in &steps {
            if failed || step.new_attempt {
                // What the service would have stored goes into the next attempt.
                let (next, restart) = new(plan.size(), plan.done().clone(), plan.validator().clone());
                if restart.is_some() {
                    file.clear();
                }
                plan = next;
                failed = false;
            }
            let request = match plan.step() {
                Next::Complete { size } => {
                    let whole = versions.iter().any(|version| {
                        version.size == size
                            && (0..size).all(|at| file.get(usize::try_from(at).unwrap()) == Some(&byte(version, at)))
                    });
                    prop_assert!(whole, "{size} bytes, not one version: {file:?}");
                    prop_assert_eq!(file.len() as u64, size);
                    return Ok(());
                }
                Next::Satisfied => unreachable!("all of it is wanted"),
                Next::Send(request) => request,
            };
            let (status, framing, list, body) = serve(&versions[step.version], step, &request);
            let list: Vec<(&str, &[u8])> = list.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
            match plan.head(&Head { status, framing, headers: &list }, 0) {
                Decision::Accept(accept) => {
                    if accept.restart.is_some() {
                        file.clear();
                    }
                    let (sent, end) = carried(step, framing, body.len() as u64);
                    for at in accept.skip..sent {
                        let place = usize::try_from(accept.offset + at).unwrap();
                        if file.len() <= place {
                            file.resize(place + 1, 0);
                        }
                        file[place] = body[usize::try_from(at).unwrap()];
                    }
                    failed = fails(plan.end(sent, end), &mut file);
                }
                Decision::Empty(_) => file.clear(),
                Decision::Again(restart) => {
                    if restart.is_some() {
                        file.clear();
                    }
                }
                Decision::Fail(_) => failed = true,
            }
        }
    }
}

/// Bytes of a body that arrive, and how it ends.
fn carried(step: &Step, framing: Framing, length: u64) -> (u64, BodyEnd) {
    let sent = step.cut_at.map_or(length, |cut| cut.min(length));
    let end = if sent < length {
        BodyEnd::Cut { code: ERROR_WINHTTP_CONNECTION_ERROR, detail: String::new() }
    } else if step.surplus && step.cut_at.is_none() && framing == Framing::Chunked {
        BodyEnd::Surplus
    } else {
        BodyEnd::Clean
    };
    (sent, end)
}

/// True if the attempt fails with this body; the file goes if the plan says so.
fn fails(ended: Ended, file: &mut Vec<u8>) -> bool {
    match ended {
        Ended::Next | Ended::Soon(_) => false,
        Ended::Again(..) => unreachable!("not dynamic"),
        Ended::Fail(fail) => {
            if fail.discard {
                file.clear();
            }
            true
        }
    }
}

/// What is wanted of the file in one run of the test below.
#[derive(Clone, Debug)]
enum Mode {
    Packed(Vec<FileRange>),
    Normal,
    OnDemand,
}

/// A change of what is wanted: requests, and a position.
#[derive(Clone, Debug, Default)]
struct Steer {
    requests: Vec<(u64, u64)>,
    position: Option<u64>,
}

fn mode() -> impl Strategy<Value = Mode> {
    let packed = (prop::collection::btree_set(0..120_u64, 2..9), any::<bool>())
        .prop_flat_map(|(cuts, open)| {
            let cuts: Vec<u64> = cuts.into_iter().collect();
            let mut list: Vec<FileRange> =
                cuts.chunks_exact(2).map(|pair| FileRange::new(pair[0], pair[1] - pair[0])).collect();
            if let Some(last) = list.last_mut().filter(|_| open) {
                last.length = LENGTH_TO_EOF;
            }
            Just(list).prop_shuffle()
        })
        .prop_map(Mode::Packed);
    prop_oneof![2 => packed, 2 => Just(Mode::Normal), 1 => Just(Mode::OnDemand)]
}

fn steer() -> impl Strategy<Value = Steer> {
    let request = (0..120_u64, 1..60_u64);
    (prop::collection::vec(request, 0..3), prop::option::of(0..120_u64))
        .prop_map(|(requests, position)| Steer { requests, position })
}

/// The remote size that the plan has to see; requests are checked against it, as the queue does.
fn steered(mut wanted: Wanted, steer: &Steer, size: u64) -> Wanted {
    if wanted.layout.is_whole() {
        let fits = steer.requests.iter().map(|&(offset, length)| FileRange::new(offset, length));
        wanted.first.extend(fits.filter(|range| range.fits(size)));
        wanted.pinned |= !wanted.first.is_empty();
        if let Some(position) = steer.position.filter(|at| *at < size) {
            wanted.position = position;
        }
    }
    wanted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_wanted_in_whatever_order_every_byte_is_right(
        mut versions in prop::collection::vec(version(), 4),
        steps in prop::collection::vec((step(), prop::option::weighted(0.5, steer())), 1..30),
        equal_sizes in prop::bool::weighted(0.8),
        mode in mode(),
    ) {
        for (index, version) in versions.iter_mut().enumerate() {
            version.number = u8::try_from(index).unwrap();
        }
        if equal_sizes {
            let size = versions[0].size;
            versions.iter_mut().for_each(|version| version.size = size);
        }
        let smallest = versions.iter().map(|version| version.size).min().unwrap();
        let limits = Limits { max_redirects: 5, allow_https_to_http: false };
        let mut wanted = match mode {
            Mode::Packed(list) => Wanted { layout: Layout::packed(list), ..Wanted::default() },
            Mode::Normal => Wanted::default(),
            Mode::OnDemand => Wanted { only_first: true, pinned: true, ..Wanted::default() },
        };
        let new = |size, done, validator, wanted: &Wanted| {
            let (mut plan, restart) = FilePlan::new("http://h/f.bin", size, done, validator, limits).unwrap();
            plan.want(wanted.clone());
            (plan, restart)
        };
        let (mut plan, _) = new(None, RangeSet::new(), Validator::default(), &wanted);
        // Every place of the local file, and which version and byte lies there.
        let mut file: Vec<u8> = Vec::new();
        let mut failed = false;
        for (step, steer) in &steps {
            if failed || step.new_attempt {
                let (next, restart) = new(plan.size(), plan.done().clone(), plan.validator().clone(), &wanted);
                if restart.is_some() {
                    file.clear();
                }
                (plan, failed) = (next, false);
            }
            let request = match plan.step() {
                Next::Complete { size } => {
                    prop_assert_eq!(plan.local_size(), Some(size));
                    let whole = versions.iter().any(|version| {
                        wanted.layout.fits(version.size)
                            && wanted.layout.local_size(Some(version.size)) == Some(size)
                            && wanted.layout.parts(Some(version.size)).flat_map(|(_, bytes)| bytes).enumerate()
                                .all(|(place, remote)| file.get(place) == Some(&byte(version, remote)))
                    });
                    prop_assert!(whole, "{size} bytes, not one version: {file:?}");
                    prop_assert_eq!(file.len() as u64, size);
                    return Ok(());
                }
                Next::Satisfied => {
                    prop_assert!(wanted.only_first);
                    let size = plan.size();
                    prop_assert!(wanted.first.iter().all(|range| plan.done().contains(range.within(size))));
                    // The client asks for more, perhaps.
                    if let Some(steer) = steer {
                        wanted = steered(wanted, steer, plan.size().unwrap_or(smallest));
                        plan.want(wanted.clone());
                    }
                    continue;
                }
                Next::Send(request) => request,
            };
            if let Some(range) = &request.range {
                prop_assert!(!range.contains(','), "one range in a request");
            }
            let (status, framing, list, body) = serve(&versions[step.version], step, &request);
            let list: Vec<(&str, &[u8])> = list.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
            match plan.head(&Head { status, framing, headers: &list }, 0) {
                Decision::Accept(accept) => {
                    if accept.restart.is_some() {
                        file.clear();
                    }
                    let (mut sent, mut end) = carried(step, framing, body.len() as u64);
                    if let Some(steer) = steer {
                        wanted = steered(wanted, steer, plan.size().unwrap_or(smallest).min(smallest));
                        plan.want(wanted.clone());
                        let half = body.len() as u64 / 2;
                        if half < sent && plan.turns_away(accept.offset + half) {
                            (sent, end) = (half, BodyEnd::Left);
                        }
                    }
                    for at in accept.skip..sent {
                        let place = plan.layout().to_local(plan.size(), accept.offset + at);
                        let place = usize::try_from(place.expect("what is accepted has a place")).unwrap();
                        if file.len() <= place {
                            file.resize(place + 1, 0);
                        }
                        file[place] = body[usize::try_from(at).unwrap()];
                    }
                    failed = fails(plan.end(sent, end), &mut file);
                }
                Decision::Empty(_) => file.clear(),
                Decision::Again(restart) => {
                    if restart.is_some() {
                        file.clear();
                    }
                }
                Decision::Fail(fail) => {
                    if fail.discard {
                        file.clear();
                    }
                    failed = true;
                }
            }
            // At any time: what counts as there is of one version, and in its place.
            let size = plan.size();
            let one = versions.iter().any(|version| {
                plan.done().iter().flatten().all(|remote| {
                    let place = plan.layout().to_local(size, remote).map(|place| usize::try_from(place).unwrap());
                    place.and_then(|place| file.get(place)) == Some(&byte(version, remote))
                })
            });
            prop_assert!(one, "{:?} of {file:?}", plan.done());
        }
    }
}
