//! Downloads of IDOManager through the service's door (spec/delivery-optimization-com.md 3 and 4).

use crate::common::{Service, refusal, wait};
use openbits_api::{CreateDownload, DownloadProperties, DownloadView, RangeView, StartDownload};
use openbits_client::{DownloadAction, Error};
use openbits_core::JobId;
use openbits_core::delivery::codes;
use openbits_core::delivery::download::State;
use openbits_core::hresult::HResult;
use openbits_core::job::Dialect;
use openbits_testkit::{Content, Origin};

fn code<T>(result: Result<T, Error>) -> Result<(), HResult> {
    result.map(drop).map_err(refusal)
}

impl Service {
    /// A download of `url` into the file `name`.
    fn download(&self, url: &str, name: &str) -> JobId {
        let properties = DownloadProperties {
            uri: Some(url.to_owned()),
            local_path: Some(self.path(name).display().to_string()),
            ..DownloadProperties::default()
        };
        let new = CreateDownload { properties, environment_proxy: None };
        self.client.create_download(&new).unwrap().id.parse().unwrap()
    }

    fn show(&self, id: JobId) -> DownloadView {
        self.client.download(id).unwrap()
    }

    fn begin(&self, id: JobId, ranges: Option<&[(u64, Option<u64>)]>) -> Result<(), HResult> {
        let view = |&(offset, length): &(u64, Option<u64>)| RangeView { offset, length };
        let start = StartDownload { ranges: ranges.map(|ranges| ranges.iter().map(view).collect()) };
        code(self.client.start_download(id, &start))
    }

    fn download_act(&self, id: JobId, action: DownloadAction) -> Result<(), HResult> {
        code(self.client.act_on_download(id, action))
    }

    fn download_reaches(&self, id: JobId, state: State) -> DownloadView {
        wait(&format!("{state:?}"), || Some(self.show(id)).filter(|view| view.state == state))
    }
}

/// Row 4 of the checklist: there and back, the file is right.
#[test]
fn do_download_start() {
    let (origin, content) = (Origin::start(), Content::new(7, 300_000));
    origin.put("file", content.clone());
    let service = Service::start();
    let id = service.download(&origin.url("file"), "file");
    let view = service.show(id);
    assert_eq!((view.state, view.bytes_total, view.bytes_transferred), (State::Created, 0, 0));
    assert_eq!(service.job(id).dialect, Dialect::DeliveryOptimization);
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (300_000, 300_000));
    assert!(!service.path("file").exists(), "not in its place before it is finalized");
    service.begin(id, None).unwrap();
    assert_eq!(service.show(id).state, State::Transferred);
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(std::fs::read(service.path("file")).unwrap(), content.byte_range(0, 300_000));
    assert_eq!(service.show(id).state, State::Finalized);
    assert_eq!(service.begin(id, None), Err(codes::DO_E_INVALID_STATE));
}

#[test]
fn do_download_start_with_ranges() {
    let (origin, content) = (Origin::start(), Content::new(8, 300_000));
    origin.put("file", content.clone());
    let service = Service::start();
    let id = service.download(&origin.url("file"), "file");
    service.begin(id, Some(&[(0, Some(100)), (200, Some(1000))])).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (1100, 1100));
    // Another portion, and then what is left.
    service.begin(id, Some(&[(5000, Some(10))])).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (10, 10));
    service.download_act(id, DownloadAction::Finalize).unwrap();
    let got = std::fs::read(service.path("file")).unwrap();
    assert_eq!(got.len(), 5010);
    assert_eq!(
        (&got[..100], &got[200..1200], &got[5000..]),
        (
            &content.byte_range(0, 100)[..],
            &content.byte_range(200, 1000)[..],
            &content.byte_range(5000, 10)[..]
        )
    );
    assert!(got[100..200].iter().all(|b| *b == 0), "a gap");
}
