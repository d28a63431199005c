//! Events read from the rings.
//!
//! aya's reader gives an event's room back as soon as the event was looked at. Here that is a step
//! of its own ([`Ring::release`]), taken when the records are durable: what a killed daemon had read
//! and not written is still there for the next one. The layout is that of `kernel/bpf/ringbuf.c`:
//! a page with the consumer's position, a page with the producer's, then the data twice in a row,
//! so that an event that wraps around is one piece.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::maps::{Map, MapData};
use nix::poll::{PollFd, PollFlags, poll};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::KernelError;

/// `BPF_RINGBUF_BUSY_BIT`: the event is still being written.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: the event was given up.
const DISCARDED: u32 = 1 << 30;
/// `BPF_RINGBUF_HDR_SZ`: length and page offset before each event.
const HEADER: u64 = 8;

/// One of the two rings. Its reader must be the only one on the host.
pub struct Ring {
    map: MapData,
    consumer: Mapping,
    producer: Mapping,
    /// Bytes of data; a power of two.
    size: u64,
    page: usize,
    /// Position up to which events were looked at; what is released lags behind.
    read: u64,
}

struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mappings are shared memory that is only reached through atomic operations and through
// slices of events that the kernel no longer writes; nothing in them belongs to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Over the pinned ring `name` of `size` bytes.
    ///
    /// # Errors
    /// When the map is not a ring or cannot be mapped.
    pub fn new(map: Map, name: &'static str, size: u32) -> Result<Self, KernelError> {
        let Map::RingBuf(map) = map else {
            let map_type = 0;
            return Err(KernelError::map(name)(
                aya::maps::MapError::InvalidMapType { map_type },
            ));
        };
        let page = rustix::param::page_size();
        let fd = map.fd().as_fd();
        let consumer = Mapping::new(fd, page, ProtFlags::READ | ProtFlags::WRITE, 0)
            .map_err(KernelError::io(name))?;
        let producer = Mapping::new(fd, page + 2 * size as usize, ProtFlags::READ, page)
            .map_err(KernelError::io(name))?;
        let mut ring = Self {
            map,
            consumer,
            producer,
            size: u64::from(size),
            page,
            read: 0,
        };
        ring.read = ring.consumer_position().load(Ordering::Acquire);
        Ok(ring)
    }

    /// Looks at up to `limit` events that wait, oldest first, each with the position after it. They
    /// stay in the ring until [`Self::release`].
    pub fn read(&mut self, limit: usize, mut take: impl FnMut(&[u8], u64)) -> usize {
        let produced = self.producer_position().load(Ordering::Acquire);
        let mut count = 0;
        while count < limit && self.read < produced {
            let (length, at) = self.header(self.read);
            if length & BUSY != 0 {
                break;
            }
            let bytes = u64::from(length & !(BUSY | DISCARDED));
            self.read += (HEADER + bytes).next_multiple_of(8);
            if length & DISCARDED == 0 {
                take(self.data(at, bytes as usize), self.read);
                count += 1;
            }
        }
        count
    }

    /// Position after everything that was looked at.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.read
    }

    /// Gives the room of everything before `position` back to the kernel. What was looked at beyond
    /// it stays.
    pub fn release(&mut self, position: u64) {
        self.consumer_position()
            .store(position.min(self.read), Ordering::Release);
    }

    /// Waits until there are events, or `milliseconds` have passed; true when there are.
    ///
    /// # Errors
    /// As poll(2).
    pub fn wait(&self, milliseconds: u16) -> io::Result<bool> {
        let mut descriptors = [PollFd::new(self.descriptor(), PollFlags::POLLIN)];
        match poll(&mut descriptors, milliseconds) {
            Ok(count) => Ok(count > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }

    fn consumer_position(&self) -> &AtomicU64 {
        // SAFETY: the first eight bytes of the mapping are the position, page-aligned; only atomic
        // operations reach them.
        unsafe { self.consumer.start.cast::<AtomicU64>().as_ref() }
    }

    fn producer_position(&self) -> &AtomicU64 {
        // SAFETY: as above; the kernel writes it, with release order.
        unsafe { self.producer.start.cast::<AtomicU64>().as_ref() }
    }

    /// The length word of the event at a position, and the offset of its data.
    fn header(&self, position: u64) -> (u32, usize) {
        let offset = self.page + (position & (self.size - 1)) as usize;
        // SAFETY: below the producer's position every event's header lies within the mapping and is
        // aligned to 8; the kernel stores the word with release order when the event is complete.
        let word = unsafe { self.producer.start.add(offset).cast::<AtomicU32>().as_ref() };
        (word.load(Ordering::Acquire), offset + HEADER as usize)
    }

    fn data(&self, offset: usize, length: usize) -> &[u8] {
        // SAFETY: the event is complete (not busy), so nobody writes it until it is released, which
        // needs `&mut self`; the data is mapped twice in a row, so that it lies within the mapping.
        unsafe { slice::from_raw_parts(self.producer.start.add(offset).as_ptr(), length) }
    }
}

impl Mapping {
    fn new(
        fd: BorrowedFd<'_>,
        length: usize,
        access: ProtFlags,
        offset: usize,
    ) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                access,
                MapFlags::SHARED,
                fd,
                offset as u64,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every reference into it borrows from its owner.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
