//! bpf(2): a program that decides about device access, attached to a v2 cgroup.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::{cvt, syscall::check_fd};

/// One instruction of eBPF.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_NEXT_ID: libc::c_int = 11;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_F_REPLACE: u32 = 4;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttributes {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
}

/// Loads a device program (BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15).
///
/// # Errors
/// `EINVAL` or `EACCES` when the verifier refuses it; `EPERM` without CAP_BPF or CAP_SYS_ADMIN.
pub fn load_device_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        ..LoadAttributes::default()
    };
    // SAFETY: the attributes point to an instruction list of the length given and to a literal; both are only read.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<LoadAttributes>()) };
    // SAFETY: BPF_PROG_LOAD returns a new descriptor.
    unsafe { check_fd(result) }
}

/// Makes the program the only one of the cgroup directory `cgroup`, beside those of its parents: all must agree. What
/// was attached is replaced in one step (Linux 5.6), so that no device is open to all in between.
///
/// # Errors
/// `EPERM` when a parent forbids it; `EINVAL`.
pub fn replace_device_programs(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let ids = attached(cgroup)?;
    if let [id] = ids[..] {
        let old = program_of(id)?;
        return attach(cgroup, program, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, old.as_raw_fd() as u32);
    }
    // Never one of ours alone: whoever attached several shares the cgroup. The new one holds before they go.
    attach(cgroup, program, BPF_F_ALLOW_MULTI, 0)?;
    ids.into_iter().try_for_each(|id| detach(cgroup, &program_of(id)?))
}

/// How many device programs are attached to the cgroup itself.
///
/// # Errors
/// `EPERM` without CAP_BPF or CAP_SYS_ADMIN.
pub fn count_device_programs(cgroup: BorrowedFd<'_>) -> io::Result<usize> {
    attached(cgroup).map(|ids| ids.len())
}

fn attach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, flags: u32, replaced: u32) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags,
        replaced,
    };
    // SAFETY: the attributes hold integers and are only read.
    cvt(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attributes, size_of::<AttachAttributes>())
    })?;
    Ok(())
}

fn detach(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        ..AttachAttributes::default()
    };
    // SAFETY: the attributes hold integers and are only read.
    cvt(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_DETACH, &raw const attributes, size_of::<AttachAttributes>())
    })?;
    Ok(())
}

/// The ids of the programs attached to the cgroup itself.
fn attached(cgroup: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    /// The kernel takes no more on one cgroup (BPF_CGROUP_MAX_PROGS).
    const PROGRAMS_MAX: u32 = 64;
    let mut ids = vec![0; PROGRAMS_MAX as usize];
    let mut attributes = QueryAttributes {
        target: cgroup.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: PROGRAMS_MAX,
        ..QueryAttributes::default()
    };
    // SAFETY: the attributes point to a writable list of the length given; both outlive the call.
    cvt(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attributes, size_of::<QueryAttributes>()) })?;
    ids.truncate(attributes.count as usize);
    Ok(ids)
}

/// The ids of every device program the kernel has, attached or held by a descriptor.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN.
pub fn device_programs() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    let mut id = 0;
    while let Some(next) = next_program(id)? {
        id = next;
        // One that was unloaded meanwhile is not there.
        let Ok(program) = program_of(id) else { continue };
        if kind_of(&program)? == BPF_PROG_TYPE_CGROUP_DEVICE {
            found.push(id);
        }
    }
    Ok(found)
}

fn next_program(id: u32) -> io::Result<Option<u32>> {
    let mut attributes = [id, 0, 0];
    // SAFETY: the attributes are three integers, of which the kernel writes the second.
    let result = cvt(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_GET_NEXT_ID, attributes.as_mut_ptr(), size_of_val(&attributes))
    });
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        result => result.map(|_| Some(attributes[1])),
    }
}

fn kind_of(program: &OwnedFd) -> io::Result<u32> {
    // struct bpf_prog_info begins with `type` and `id`; the kernel fills as much as is asked for.
    let mut info = [0_u32; 2];
    #[repr(C)]
    struct InfoAttributes {
        program: u32,
        size: u32,
        info: u64,
    }
    let mut attributes = InfoAttributes {
        program: program.as_raw_fd() as u32,
        size: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: of the attributes the kernel writes the size; they point to a writable buffer of that size.
    cvt(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw mut attributes, size_of::<InfoAttributes>())
    })?;
    Ok(info[0])
}

fn program_of(id: u32) -> io::Result<OwnedFd> {
    let attributes = [id, 0, 0];
    // SAFETY: the attributes are three integers and are only read.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_GET_FD_BY_ID, attributes.as_ptr(), size_of_val(&attributes)) };
    // SAFETY: BPF_PROG_GET_FD_BY_ID returns a new descriptor.
    unsafe { check_fd(result) }
}
