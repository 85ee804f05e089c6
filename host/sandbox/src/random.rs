//! The random bytes of one call: a constant stream while the component starts, then none, or a stream of the call's own.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use weir_core::random::Seed;

use crate::bindings::tree::FsError;

/// Where a plugin sees whether it is given random bytes, so that it can say something better than that it was refused.
/// It answers from the grant alone, which is part of what a render is told: it is no file of the commit, is in no read
/// set, and hides whatever the repository has there.
const GRANTS: &str = ".weir/grants";
/// The file that is there where it is given some, and what it says.
const RANDOM_FILE: (&str, &[u8]) = (".weir/grants/random", b"stable\n");

/// What a call has of random bytes.
pub(crate) struct Random {
    /// The state of the constant stream (SplitMix64, Steele et al. 2014).
    start: u64,
    /// The stream of the call; `None` where it is given none.
    stream: Option<ChaCha20>,
    drew: bool,
}

impl Random {
    /// With what the call's stream is made from.
    pub(crate) fn new(seed: Option<&Seed>) -> Random {
        // A seed is for one stream, so that one nonce is enough. Its end is 256 GiB away.
        let stream = |seed: &Seed| ChaCha20::new(seed.expose().into(), &[0; 12].into());
        Random {
            start: 0,
            stream: seed.map(stream),
            drew: false,
        }
    }

    /// So many bytes; `None` where the call is given none.
    pub(crate) fn bytes(&mut self, len: usize, called: bool) -> Option<Vec<u8>> {
        if !called {
            return Some(self.at_start(len));
        }
        let mut bytes = vec![0; len];
        self.stream.as_mut()?.try_apply_keystream(&mut bytes).ok()?;
        self.drew = true;
        Some(bytes)
    }

    /// Whether bytes of the call's own stream were taken.
    pub(crate) fn drew(&self) -> bool {
        self.drew
    }

    fn at_start(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
        // One word at least, however few are asked for.
        while bytes.len() < len.max(1) {
            self.start = self.start.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.start;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend((z ^ (z >> 31)).to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// What a plugin reads at a reserved path.
    pub(crate) fn file(&self, path: &str) -> Result<Vec<u8>, FsError> {
        match path == RANDOM_FILE.0 && self.stream.is_some() {
            true => Ok(RANDOM_FILE.1.to_vec()),
            false => Err(FsError::NotFound),
        }
    }

    /// Why a reserved path is not listed.
    pub(crate) fn no_directory(&self, path: &str) -> FsError {
        match self.file(path) {
            Ok(_) => FsError::NotADirectory,
            Err(e) => e,
        }
    }
}

/// Whether a path is about grants and not about files.
pub(crate) fn is_reserved(path: &str) -> bool {
    let below = path.strip_prefix(GRANTS);
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_the_stream_of_its_seed_and_no_other() {
        let take = |seed: u8, pieces: &[usize]| {
            let mut random = Random::new(Some(&Seed::new([seed; 32])));
            let pieces = pieces.iter().map(|len| random.bytes(*len, true).unwrap());
            pieces.collect::<Vec<_>>().concat()
        };
        assert_eq!(take(1, &[100]), take(1, &[1, 0, 64, 35]));
        assert_ne!(take(1, &[100]), take(2, &[100]));
        assert_eq!(Random::new(None).bytes(1, true), None);
    }

    #[test]
    fn the_stream_is_chacha20_as_rfc_8439_has_it() {
        // Appendix A.1, test vector 1: the key and the nonce are zero.
        let mut random = Random::new(Some(&Seed::new([0; 32])));
        let first = random.bytes(8, true).unwrap();
        assert_eq!(first, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    }

    #[test]
    fn bytes_at_the_start_are_none_of_the_calls_own() {
        let mut random = Random::new(Some(&Seed::new([1; 32])));
        let constant = Random::new(None).bytes(16, false).unwrap();
        assert_eq!(random.bytes(16, false).unwrap(), constant);
        assert!(!random.drew());
        assert_ne!(random.bytes(16, true).unwrap(), constant);
        assert!(random.drew());
    }

    #[test]
    fn the_grant_shows_at_its_path_and_nowhere_else() {
        let (with, without) = (Random::new(Some(&Seed::new([1; 32]))), Random::new(None));
        assert_eq!(with.file(".weir/grants/random").unwrap(), b"stable\n");
        for path in [".weir/grants", ".weir/grants/random/x", ".weir/grants/net"] {
            assert_eq!(with.file(path), Err(FsError::NotFound), "{path}");
            assert!(is_reserved(path), "{path}");
        }
        assert_eq!(without.file(".weir/grants/random"), Err(FsError::NotFound));
        for path in ["", ".weir", ".weir/external/x", ".weir/grantsx", "grants"] {
            assert!(!is_reserved(path), "{path}");
        }
    }
}
