"""Goroutines in gdb.

    (gdb) source weft-gdb.py
    (gdb) info goroutines             all of them: number, state, what each waits for, name, function
    (gdb) goroutine 7 bt              a command in goroutine 7; without a command, bt
    (gdb) goroutine all bt            in each

Works by the table weft_gdb that libweft exports, without debug information of its own. A goroutine that is
parked is shown as the caller of the selected thread's frame 0, for the time of the command: in a process as in
a core file. So its frames begin at number 1, and frame 1 is selected. In a process Weft stops at SIGSEGV when a
stack grows, and the collector uses SIG34. Of one whose stack is stored while it waits (runtime/HACKING.md) only
bt shows something: the functions, by the chain of frame pointers.

    handle SIGSEGV SIG34 SIGURG nostop noprint pass
"""
import gdb
import gdb.unwinder

VERSION = 2

# Offsets in the control block, as in runtime/core/Goroutine.cs.
SIZE = 256
SAVED_SP, STATE, KIND, REASON, ID, FUNCTION, MACHINE, EXTRA = 0, 0x40, 0x41, 0x42, 0x48, 0x58, 0x78, 0xA8
IS_STORED, STACK_HIGH, FRAMES = 0x47, 0x88, 0xA0
NAME = 0x310  # As in runtime/core/GoroutineExtra.cs.
DEAD, RUNNABLE, RUNNING, WAITING = range(4)
STATES = ["dead", "runnable", "running", "waiting"]
REASONS = ["", "yield", "chan send", "chan receive", "wait group", "exit", "select", "sleep", "mutex",
           "rw mutex", "cond", "semaphore", "network", "system stack", "no channel", ".NET wait"]
KIND_THREAD = 2  # A stand-in for a thread that waits.

# Where weft_switch has saved what: from the saved stack pointer up; what of that is the frame pointer and the
# address where it goes on, how large all of it is, and from which register thread-local addresses start.
class X64:
    SAVED = ["r15", "r14", "r13", "r12", "rbx", "rbp", "rip"]
    FRAME, PC, SIZE, SP, THREAD = 5, 6, 56, "rsp", "$fs_base"


class Arm64:
    SAVED = ["x%d" % i for i in range(19, 30)] + ["pc"]
    FRAME, PC, SIZE, SP, THREAD = 10, 11, 160, "sp", "$tpidr"


def processor():
    return Arm64 if "aarch64" in gdb.selected_inferior().architecture().name() else X64


def word(address, size=8):
    return int.from_bytes(gdb.selected_inferior().read_memory(address, size).tobytes(), "little")


def symbol_of(address):
    return gdb.execute("info symbol %d" % address, to_string=True).split(" in section")[0].strip()


def table():
    symbol = gdb.lookup_minimal_symbol("weft_gdb") if hasattr(gdb, "lookup_minimal_symbol") else None
    address = int(symbol.value().address) if symbol else int(gdb.parse_and_eval("(long)&weft_gdb"))
    words = [word(address + 8 * i) for i in range(4)]
    if words[0] != VERSION:
        raise gdb.GdbError("weft_gdb has version %d; this script knows %d" % (words[0], VERSION))
    if words[1] == 0:
        raise gdb.GdbError("Weft has not started yet")
    return words


class Goroutine:
    def __init__(self, address):
        self.address = address
        self.state = word(address + STATE, 1)
        self.kind = word(address + KIND, 1)
        self.number = word(address + ID)

    @property
    def saved_sp(self):
        return word(self.address + SAVED_SP)

    def describe(self):
        reason = word(self.address + REASON, 1)
        what = STATES[self.state]
        if self.state == WAITING and reason < len(REASONS):
            what = REASONS[reason]
        name = ""
        extra = word(self.address + EXTRA)
        if extra and word(extra + NAME, 1):
            raw = gdb.selected_inferior().read_memory(extra + NAME, 32).tobytes()
            name = ' "%s"' % raw.split(b"\0")[0].decode("utf-8", "replace")
        function = word(self.address + FUNCTION)
        block = symbol_of(function)
        if block.startswith("No symbol"):
            block = ""
        return "%s%s %s" % (what, name, block)


def goroutines():
    """Those that exist, in the order of their numbers in the table."""
    _, base, carved, _ = table()
    for number in range(word(carved)):
        try:
            goroutine = Goroutine(base + number * SIZE)
        except gdb.MemoryError:
            continue  # In a core file: a page that was never touched.
        if goroutine.state not in (RUNNABLE, RUNNING, WAITING) or goroutine.kind == KIND_THREAD:
            continue
        yield goroutine


def threads_of():
    """Which thread runs which goroutine, by the address of its control block."""
    offset = table()[3]
    offset -= (offset >> 63) << 64
    running = {}
    before = gdb.selected_thread()
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        base = gdb.parse_and_eval(processor().THREAD)
        if base.type.code == gdb.TYPE_CODE_VOID:
            continue  # Whoever is debugged through has no such register: qemu.
        base = int(base) & (2**64 - 1)
        try:
            goroutine = word((base + offset) & (2**64 - 1))
        except gdb.MemoryError:
            continue
        if goroutine:
            running[goroutine] = thread
    if before is not None:
        before.switch()
    return running


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Parked(gdb.unwinder.Unwinder):
    """While it has a goroutine: says that this one called frame 0."""

    def __init__(self):
        super().__init__("weft-parked")
        self.saved_sp = 0

    def __call__(self, pending):
        if self.saved_sp == 0 or pending.level() != 0:
            return None
        # Its frames lie above: else gdb would take them for a broken stack.
        info = pending.create_unwind_info(FrameId(gdb.Value(self.saved_sp), pending.read_register("pc")))
        kind = gdb.lookup_type("unsigned long")
        for i, name in enumerate(processor().SAVED):
            info.add_saved_register(name, gdb.Value(word(self.saved_sp + 8 * i)).cast(kind))
        info.add_saved_register(processor().SP, gdb.Value(self.saved_sp + processor().SIZE).cast(kind))
        return info


PARKED = Parked()
gdb.unwinder.register_unwinder(None, PARKED, replace=True)


def stored(goroutine):
    """Return addresses of one that is stored: its words lie elsewhere, and say where they would lie."""
    sp, high = goroutine.saved_sp, word(goroutine.address + STACK_HIGH)
    distance = word(goroutine.address + FRAMES) - sp
    frame = word(sp + distance + 8 * processor().FRAME)
    yield word(sp + distance + 8 * processor().PC)
    while sp <= frame <= high - 16 and frame % 8 == 0:
        yield word(frame + distance + 8)
        above = word(frame + distance)
        if above <= frame:
            return
        frame = above


def in_goroutine(goroutine, running, command):
    thread = running.get(goroutine.address)
    before = gdb.selected_thread()
    if thread is not None:
        thread.switch()
        gdb.execute(command)
        before.switch()
        return
    if goroutine.state == RUNNING:
        raise gdb.GdbError("goroutine %d runs, but gdb does not know on which thread" % goroutine.number)
    sp = goroutine.saved_sp
    if sp == 0:
        raise gdb.GdbError(
            "goroutine %d has not begun yet" % goroutine.number if word(goroutine.address + MACHINE) == 0
            else "goroutine %d is just starting or ending" % goroutine.number)
    if word(goroutine.address + IS_STORED, 1):
        if command != "bt":
            raise gdb.GdbError("goroutine %d is stored while it waits: bt only" % goroutine.number)
        for level, pc in enumerate(stored(goroutine), 1):
            gdb.write("#%-2d 0x%016x in %s\n" % (level, pc, symbol_of(pc - 1)))
        return
    try:
        PARKED.saved_sp = sp
        gdb.invalidate_cached_frames()
        gdb.newest_frame().older().select()
        text = gdb.execute(command, to_string=True)
    finally:
        PARKED.saved_sp = 0
        gdb.invalidate_cached_frames()
    # Frame 0 is the thread's own.
    gdb.write("".join(line for line in text.splitlines(True) if not line.startswith("#0 ")))


class InfoGoroutines(gdb.Command):
    """All goroutines: number, state or what it waits for, name, function."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        running = threads_of()
        count = 0
        for goroutine in goroutines():
            thread = running.get(goroutine.address)
            where = " thread %d" % thread.num if thread is not None else ""
            gdb.write("%s %6d %s%s\n" % ("*" if where else " ", goroutine.number, goroutine.describe(), where))
            count += 1
        gdb.write("%d goroutines\n" % count)


class InGoroutine(gdb.Command):
    """goroutine NUMBER|all [COMMAND]: a command, bt if there is none, in that goroutine."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        which, _, command = argument.strip().partition(" ")
        if which != "all" and not which.isdigit():
            raise gdb.GdbError("usage: goroutine NUMBER|all [COMMAND]")
        running = threads_of()
        found = False
        for goroutine in list(goroutines()):
            if which == "all" or goroutine.number == int(which):
                found = True
                gdb.write("goroutine %d: %s\n" % (goroutine.number, goroutine.describe()))
                try:
                    in_goroutine(goroutine, running, command or "bt")
                except gdb.error as error:
                    gdb.write("  %s\n" % error)
        if not found and which != "all":
            raise gdb.GdbError("no goroutine %s" % which)


InfoGoroutines()
InGoroutine()
