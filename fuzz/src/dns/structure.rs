//! A second reading of the message format, written from the RFCs without looking at the first: plain
//! indices, owned vectors, no cursor, no table of layouts. It says whether a message is well formed
//! and what is in it.

/// The labels of a name, without the root.
pub(crate) type Labels = Vec<Vec<u8>>;

/// A record as it lies in a message.
#[derive(Debug)]
pub(crate) struct Rr {
    pub(crate) owner: Labels,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<u8>,
}

/// A message in pieces.
#[derive(Debug)]
pub(crate) struct Structure {
    pub(crate) questions: Vec<(Labels, u16, u16)>,
    /// Answer, authority, additional; OPT is among the last.
    pub(crate) sections: [Vec<Rr>; 3],
}

fn u16_at(m: &[u8], at: usize) -> Option<u16> {
    Some(u16::from(*m.get(at)?) << 8 | u16::from(*m.get(at + 1)?))
}

/// The name at `at`, and where what follows it begins. Up to its first pointer it lies before `end`.
///
/// RFC 1035 §4.1.4, with the limits of this project: every pointer leads to before the labels that it
/// ends and behind the header; at most 128 of them.
pub(crate) fn name(m: &[u8], at: usize, end: usize, compressed: bool) -> Option<(Labels, usize)> {
    let (mut labels, mut octets) = (Vec::new(), 1);
    let (mut here, mut segment, mut end) = (at, at, end);
    let (mut after, mut pointers) = (None, 0);
    loop {
        if here >= end {
            return None;
        }
        let length = usize::from(m[here]);
        if length == 0 {
            return Some((labels, after.unwrap_or(here + 1)));
        }
        if length >= 192 {
            if here + 2 > end || !compressed {
                return None;
            }
            let target = (length - 192) * 256 + usize::from(m[here + 1]);
            pointers += 1;
            if target < 12 || target >= segment || pointers > 128 {
                return None;
            }
            after = after.or(Some(here + 2));
            (here, segment, end) = (target, target, m.len());
            continue;
        }
        octets += length + 1;
        if length >= 64 || here + 1 + length > end || octets > 255 {
            return None;
        }
        labels.push(m[here + 1..here + 1 + length].to_vec());
        here += 1 + length;
    }
}

/// Whether the data at `at..end` is what its type asks for.
fn rdata_is_good(m: &[u8], at: usize, end: usize, rtype: u16, class: u16) -> bool {
    let compressed = |at: usize| name(m, at, end, true).map(|(_, after)| after);
    let plain = |at: usize| name(m, at, end, false).map(|(_, after)| after);
    let string = |at: usize| {
        let after = (at < end).then(|| at + 1 + usize::from(m[at]))?;
        (after <= end).then_some(after)
    };
    let exactly = |after: Option<usize>| after == Some(end);
    // Types that mean the same in every class.
    match rtype {
        // NS MD MF CNAME MB MG MR PTR
        2..=5 | 7..=9 | 12 => return exactly(compressed(at)),
        6 => return exactly(compressed(at).and_then(compressed).map(|a| a + 20)),
        13 => return exactly(string(at).and_then(string)),
        14 | 17 => return exactly(compressed(at).and_then(compressed)),
        // MX AFSDB RT
        15 | 18 | 21 => return at + 2 <= end && exactly(compressed(at + 2)),
        16 | 99 => {
            let mut here = string(at);
            while let Some(next) = here.filter(|h| *h < end) {
                here = string(next);
            }
            return exactly(here);
        }
        24 => return at + 18 <= end && compressed(at + 18).is_some(),
        30 => return compressed(at).is_some(),
        39 => return exactly(plain(at)),
        _ => {}
    }
    if class != 1 {
        return true;
    }
    match rtype {
        1 => end - at == 4,
        28 => end - at == 16,
        33 => at + 6 <= end && exactly(compressed(at + 6)),
        26 => at + 2 <= end && exactly(compressed(at + 2).and_then(compressed)),
        35 => {
            let strings = if at + 4 <= end { string(at + 4) } else { None };
            exactly(strings.and_then(string).and_then(string).and_then(compressed))
        }
        64 | 65 => at + 2 <= end && plain(at + 2).is_some(),
        _ => true,
    }
}

/// The options of an OPT record fill it.
fn options_are_good(rdata: &[u8]) -> bool {
    let mut at = 0;
    while at < rdata.len() {
        let Some(length) = u16_at(rdata, at + 2) else { return false };
        at += 4 + usize::from(length);
    }
    at == rdata.len()
}

/// The message, if it is one.
pub(crate) fn read(m: &[u8]) -> Option<Structure> {
    if m.len() < 12 {
        return None;
    }
    let mut at = 12;
    let mut questions = Vec::new();
    for _ in 0..u16_at(m, 4)? {
        let (qname, after) = name(m, at, m.len(), true)?;
        questions.push((qname, u16_at(m, after)?, u16_at(m, after + 2)?));
        at = after + 4;
    }
    let mut sections = [const { Vec::new() }; 3];
    let mut opts = 0;
    for (section, records) in sections.iter_mut().enumerate() {
        for _ in 0..u16_at(m, 6 + 2 * section)? {
            let (owner, after) = name(m, at, m.len(), true)?;
            let (rtype, class) = (u16_at(m, after)?, u16_at(m, after + 2)?);
            let high = u32::from(u16_at(m, after + 4)?);
            let ttl = high << 16 | u32::from(u16_at(m, after + 6)?);
            let start = after + 10;
            let end = start + usize::from(u16_at(m, after + 8)?);
            let rdata = m.get(start..end)?.to_vec();
            if rtype == 41 {
                opts += 1;
                if section != 2 || opts > 1 || !owner.is_empty() || !options_are_good(&rdata) {
                    return None;
                }
            } else if !rdata_is_good(m, start, end, rtype, class) {
                return None;
            }
            records.push(Rr { owner, rtype, class, ttl, rdata });
            at = end;
        }
    }
    Some(Structure { questions, sections })
}
