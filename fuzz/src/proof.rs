//! What is believed because it was signed or chained: receipts, bundles, kept outputs, records.

use weir_core::kept::KeptOutput;
use weir_core::receipt::{Envelope, Receipt};
use weir_core::record::Record;
use weir_core::status::Status;
use weir_core::validate::OutputLimits;
use weir_receipt::{Bundle, PublicKey};

const LIMITS: OutputLimits = OutputLimits {
    objects: 1_000,
    object_bytes: 100_000,
};

/// A statement, an envelope and a bundle have one form: what is read is written as the same bytes.
pub(crate) fn receipt(data: &[u8]) {
    if let Ok(receipt) = Receipt::read(data) {
        assert_eq!(receipt.to_bytes().as_deref(), Ok(data));
    }
    if let Ok(envelope) = Envelope::read(data) {
        let line = envelope.to_line().unwrap_or_default();
        assert!(line.as_bytes() == data || line.trim_end().as_bytes() == data);
        let _ = envelope.unchecked();
    }
    if let Ok(bundle) = Bundle::read(data) {
        let mut again = Vec::new();
        assert!(bundle.write(&mut again).is_ok());
        assert_eq!(again, data);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = PublicKey::read(text)
    {
        assert_eq!(
            PublicKey::read(key.pem()).map(|again| again.id()),
            Ok(key.id())
        );
    }
}

/// Records fold in any order, and one that is written again reads as the same; a kept output is what its digest says.
pub(crate) fn record(data: &[u8]) {
    let mut status = Status::default();
    for (seq, line) in data.split(|b| *b == b'\n').take(200).enumerate() {
        if let Ok(record) = serde_json::from_slice::<Record>(line) {
            let text = serde_json::to_vec(&record).unwrap_or_default();
            let again = serde_json::from_slice::<Record>(&text);
            assert_eq!(again.ok(), Some(record.clone()));
            status.fold(seq as u64 + 1, 1_700_000_000 + seq as i64, &record);
        }
    }
    let text = serde_json::to_vec(&status).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<Status>(&text).ok(), Some(status));
    if let Ok(kept) = KeptOutput::read(data) {
        let _ = kept.documents().count();
        if let Ok(validated) = kept.admit(LIMITS) {
            assert_eq!(validated.stream().as_bytes(), kept.stream.as_bytes());
        }
    }
}
