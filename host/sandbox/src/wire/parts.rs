//! Numbers, texts and lists as bytes. Reading takes what is there and never makes room for what is only promised.

/// What was said cannot be read, and what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it said {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Bytes that are being made.
pub(super) struct Put(Vec<u8>);

impl Put {
    pub(super) fn new(kind: u8) -> Put {
        Put(vec![kind])
    }

    /// So many bytes more will not move what is there.
    pub(super) fn room(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Longer ones than a number can say are cut: no frame is as long.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(len);
        let taken = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
        self.fixed(bytes.get(..taken).unwrap_or_default());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn option<T: ?Sized>(&mut self, value: Option<&T>, put: impl FnOnce(&mut Put, &T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub(super) fn list<T>(&mut self, list: &[T], put: impl Fn(&mut Put, &T)) {
        self.u32(u32::try_from(list.len()).unwrap_or(u32::MAX));
        for item in list {
            put(self, item);
        }
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes that are being read.
pub(super) struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Take<'a> {
        Take(bytes)
    }

    fn some(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Malformed("less than it promised"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.some(N)?;
        taken
            .try_into()
            .map_err(|_| Malformed("less than it promised"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.fixed().map(u8::from_le_bytes)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("neither yes nor no")),
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.fixed().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.fixed().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u32()?).map_err(|_| Malformed("too long a length"))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let len = self.length()?;
        self.some(len).map(<[u8]>::to_vec)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    /// A text of so many bytes at most.
    pub(super) fn text_of(&mut self, most: usize) -> Result<String, Malformed> {
        let text = self.text()?;
        match text.len() <= most {
            true => Ok(text),
            false => Err(Malformed("a longer text than is kept")),
        }
    }

    pub(super) fn option<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        self.bool()?.then(|| take(self)).transpose()
    }

    /// A list of so many items at most. Each takes a byte at least, so that a promise of many makes no room for them.
    pub(super) fn list<T>(
        &mut self,
        most: usize,
        take: impl Fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.length()?;
        if count > most || count > self.0.len() {
            return Err(Malformed("a longer list than there may be"));
        }
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(take(self)?);
        }
        Ok(list)
    }

    /// Nothing is left over.
    pub(super) fn end(self) -> Result<(), Malformed> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Malformed("more than was expected")),
        }
    }
}
