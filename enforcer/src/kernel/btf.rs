//! Offsets of kernel structure fields, from the running kernel's BTF.
//!
//! The format is that of `Documentation/bpf/btf.rst`: a header, type records, strings. aya parses it
//! too but does not give out members.

#![forbid(unsafe_code)]

use enforcer_common::fields::Field;
use thiserror::Error;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_FUNCTION: u32 = 12;
/// Kinds that only name or qualify another type: typedef, volatile, const, restrict, type tag.
const KINDS_OF_ALIASES: [u32; 5] = [8, 9, 10, 11, 18];

/// Why an offset is not known.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    /// The data is not BTF of a known form.
    #[error("the kernel's BTF cannot be read: {0}")]
    Malformed(&'static str),
    /// The kernel has no such field.
    #[error("this kernel has no field {}", .0.join(" or "))]
    NoField(&'static [&'static str]),
}

/// The types of a kernel.
pub struct Btf<'a> {
    types: Vec<Type<'a>>,
    strings: &'a [u8],
}

#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    kind: u32,
    flagged: bool,
    target: u32,
    members: &'a [u8],
}

impl<'a> Btf<'a> {
    /// Reads what `/sys/kernel/btf/vmlinux` holds.
    ///
    /// # Errors
    /// When it is not BTF, or holds a kind of record that is not known (its length would not be).
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        let magic = data
            .get(..2)
            .and_then(|b| b.try_into().ok())
            .map(u16::from_ne_bytes);
        if magic != Some(MAGIC) {
            return Err(BtfError::Malformed("no magic number"));
        }
        let header =
            |index: usize| word(data, 4 + index * 4).ok_or(BtfError::Malformed("short header"));
        let start = header(0)? as usize;
        let section = |offset: u32, length: u32| {
            let begin = start.checked_add(offset as usize)?;
            data.get(begin..begin.checked_add(length as usize)?)
        };
        let types =
            section(header(1)?, header(2)?).ok_or(BtfError::Malformed("types end early"))?;
        let strings =
            section(header(3)?, header(4)?).ok_or(BtfError::Malformed("strings end early"))?;
        Ok(Self {
            types: read_types(types)?,
            strings,
        })
    }

    /// Byte offset of a field.
    ///
    /// # Errors
    /// When none of the field's paths leads to one.
    pub fn offset(&self, field: &Field) -> Result<u32, BtfError> {
        field
            .paths
            .iter()
            .find_map(|path| self.offset_of_path(path))
            .ok_or(BtfError::NoField(field.paths))
    }

    /// Whether the kernel has a function of this name.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.types
            .iter()
            .any(|t| t.kind == KIND_FUNCTION && self.name(t.name) == name.as_bytes())
    }

    fn offset_of_path(&self, path: &str) -> Option<u32> {
        let (structure, members) = path.split_once('.')?;
        self.types
            .iter()
            .filter(|t| {
                matches!(t.kind, KIND_STRUCT | KIND_UNION)
                    && self.name(t.name) == structure.as_bytes()
            })
            .find_map(|t| {
                let (mut bits, mut at) = (0, *t);
                for member in members.split('.') {
                    let (offset, target) = self.member(&at, member.as_bytes())?;
                    bits += offset;
                    at = self.resolve(target)?;
                }
                (bits % 8 == 0).then_some(bits / 8)
            })
    }

    /// Bit offset and type of a member, looked for in anonymous structures and unions too.
    fn member(&self, of: &Type<'_>, name: &[u8]) -> Option<(u32, u32)> {
        if !matches!(of.kind, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        of.members.chunks_exact(12).find_map(|record| {
            let (member, target) = (self.name(word(record, 0)?), word(record, 4)?);
            let offset = word(record, 8)? & if of.flagged { 0x00ff_ffff } else { u32::MAX };
            if member == name {
                return Some((offset, target));
            }
            if !member.is_empty() {
                return None;
            }
            let (inner, target) = self.member(&self.resolve(target)?, name)?;
            Some((offset + inner, target))
        })
    }

    fn resolve(&self, id: u32) -> Option<Type<'a>> {
        let mut id = id;
        // Chains of aliases are short; the bound only ends a malformed circle.
        for _ in 0..32 {
            let found = self.types.get(usize::try_from(id.checked_sub(1)?).ok()?)?;
            if !KINDS_OF_ALIASES.contains(&found.kind) {
                return Some(*found);
            }
            id = found.target;
        }
        None
    }

    fn name(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        rest.split(|&b| b == 0).next().unwrap_or_default()
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        data.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn read_types(mut data: &[u8]) -> Result<Vec<Type<'_>>, BtfError> {
    const SHORT: BtfError = BtfError::Malformed("a type record ends early");
    let mut types = Vec::new();
    while !data.is_empty() {
        let info = word(data, 4).ok_or(SHORT)?;
        let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        let extra = match kind {
            2 | 7..=12 | 16 | 18 => 0, // pointers, names, qualifiers, functions, floats
            1 | 14 | 17 => 4,          // int, variable, declaration tag
            3 => 12,                   // array
            4 | 5 | 15 | 19 => count * 12, // struct, union, data section, 64-bit enum
            6 | 13 => count * 8,       // enum, function prototype
            _ => return Err(BtfError::Malformed("an unknown kind of type record")),
        };
        let members = data.get(12..12 + extra).ok_or(SHORT)?;
        types.push(Type {
            name: word(data, 0).ok_or(SHORT)?,
            kind,
            flagged: info >> 31 == 1,
            target: word(data, 8).ok_or(SHORT)?,
            members,
        });
        data = &data[12 + extra..];
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct task { int; union { int a; int deep; }; struct named n; }`, `struct named { int; int z; }`
    fn sample() -> Vec<u8> {
        let strings = b"\0task\0deep\0n\0named\0z\0a\0";
        let at = |s: &str| {
            let needle = format!("\0{s}\0");
            strings
                .windows(needle.len())
                .position(|w| w == needle.as_bytes())
                .unwrap() as u32
                + 1
        };
        let mut types: Vec<u32> = Vec::new();
        types.extend([0, 1 << 24, 4, 32]); // 1: int
        types.extend([0, (5 << 24) | 2, 4, at("a"), 1, 0, at("deep"), 1, 0]); // 2: anonymous union
        types.extend([at("named"), (4 << 24) | 1, 8, at("z"), 1, 32]); // 3
        types.extend([0, 8 << 24, 3]); // 4: alias of 3
        types.extend([at("task"), (4 << 24) | 2, 12, 0, 2, 32, at("n"), 4, 64]); // 5
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut data = MAGIC.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        let lengths = [
            24,
            0,
            types.len() as u32,
            types.len() as u32,
            strings.len() as u32,
        ];
        data.extend(lengths.into_iter().flat_map(u32::to_ne_bytes));
        data.extend(types);
        data.extend(strings);
        data
    }

    #[test]
    fn a_field_is_found_through_anonymous_unions_and_aliases() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        for (paths, offset) in [
            (&["task.deep"][..], 4),
            (&["task.n.z"], 12),
            (&["no.such", "task.a"], 4),
        ] {
            assert_eq!(
                btf.offset(&Field {
                    symbol: "X",
                    paths: Vec::leak(paths.to_vec())
                }),
                Ok(offset)
            );
        }
    }

    #[test]
    fn a_field_that_is_not_there_is_named() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        let error = btf
            .offset(&Field {
                symbol: "X",
                paths: &["task.gone", "task.n.gone"],
            })
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "this kernel has no field task.gone or task.n.gone"
        );
    }

    #[test]
    fn every_cut_of_the_data_is_an_error_and_no_panic() {
        let data = sample();
        for length in 0..data.len() {
            assert!(Btf::parse(&data[..length]).is_err(), "{length}");
        }
        let mut noise = data;
        noise[24 + 7] = 0x1f;
        assert!(Btf::parse(&noise).is_err());
    }
}
