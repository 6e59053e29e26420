//! Choices made of bytes: by proptest, by libFuzzer, or by a loop with a seed. Bytes that ran out are zeros.
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The middle of every story: most times lie around it.
pub(crate) const PLAN: i64 = 1_795_000_000;

/// A source of choices.
#[derive(Debug)]
pub(crate) struct Dice<'a> {
    bytes: &'a [u8],
}

const NASTY: [&str; 16] = [
    "",
    "\n",
    "\r\nlevel=ERROR msg=\"forged\"",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{0}",
    "\u{7f}\u{9b}",
    "\u{202e}gpj.exe",
    "\u{2028}",
    "🌋",
    "é",
    "\"'`$(reboot)`",
    "{{.Values}}",
    "%n%s",
    ": ",
    "UnauthorizedOperation: no",
    "v1 i=i-0123456789abcdef0",
];

impl<'a> Dice<'a> {
    /// Choices made of these bytes.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A number from 0 to `sides` − 1.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        let high = if sides > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (high | usize::from(self.byte())) % sides.max(1)
    }

    /// Once in so many times; never, when the bytes have run out.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// Head or tail.
    pub(crate) fn flip(&mut self) -> bool {
        self.once_in(2)
    }

    /// One of a list.
    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// It is there, or it is not.
    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flip().then(|| make(self))
    }

    /// So many at the most.
    pub(crate) fn few<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// A number that somebody could have written: small, or at an edge.
    pub(crate) fn number(&mut self) -> i64 {
        match self.below(8) {
            0..4 => i64::from(self.byte() % 4),
            4 => i64::from(self.byte()),
            5 => self.pick(&[i64::from(i32::MAX), i64::from(i32::MAX) - 1, 99_999, 100_000]),
            6 => self.pick(&[i64::MAX, i64::MIN, i64::from(i32::MIN), -1, 1 << 40]),
            _ => i64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    /// The same, within the limits of a field.
    pub(crate) fn count(&mut self) -> i32 {
        i32::try_from(self.number().clamp(0, i64::from(i32::MAX))).unwrap_or(0)
    }

    /// The same, from 1 on.
    pub(crate) fn revision(&mut self) -> i32 {
        if self.once_in(4) { self.count().max(1) } else { i32::from(self.byte() % 3) + 1 }
    }

    /// A time near the plan, or far from it; whole seconds of years that Kubernetes takes.
    pub(crate) fn time(&mut self) -> Timestamp {
        let second = match self.below(8) {
            0..6 => PLAN - 100 + i64::try_from(self.below(4200)).unwrap_or(0),
            6 => PLAN + self.pick(&[-86_400 * 400, -9000, 86_400, 86_400 * 3650]),
            _ => self.pick(&[0, 253_402_207_199, -62_135_596_800]),
        };
        Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The same, as Kubernetes has it.
    pub(crate) fn when(&mut self) -> Option<Time> {
        self.maybe(|dice| Time(dice.time()))
    }

    /// A text of so many characters at the most, made of what hurts.
    pub(crate) fn text(&mut self, most: usize) -> String {
        let text: String = match self.below(6) {
            0..3 => self.pick(&["", "x", "InternalError: x", "no"]).to_owned(),
            3 | 4 => (0..=self.below(6)).map(|_| self.pick(&NASTY)).collect(),
            _ => self.pick(&NASTY).repeat(self.pick(&[1, 40, 600])),
        };
        text.chars().take(most).collect()
    }

    /// The same, without what a manifest may not have in a tag or a name.
    pub(crate) fn line(&mut self, most: usize) -> String {
        self.text(most).replace(|c: char| c.is_ascii_control(), "")
    }
}
