#!/usr/bin/env python3
"""Says in perf's output which goroutine each sample is of.

    WEFT_TRACE=out.pftrace perf record -g -k CLOCK_MONOTONIC ./program
    perf script --ns | weft-perf.py out.pftrace >samples.txt

perf knows threads, not goroutines; the execution trace knows which goroutine ran on which thread when, by the
same clock. So the two are brought together afterwards, and the program pays for nothing but the trace. In the
first line of a sample of a goroutine the name of the thread becomes that of the goroutine's function, followed
by the innermost region that is open (Go.TraceRegion), and the number of the thread becomes the goroutine's:

    weft machine  4711  1234.567890123:  250000 cpu-clock:      ->      Server.Handle/parse  17  1234.567...

All else stays as it was, and so do samples of which the trace does not know a goroutine: of the scheduler itself,
of native code whose processor was taken meanwhile, of other threads. What reads `perf script` reads the result:
FlameGraph's stackcollapse-perf.pl, https://speedscope.app, https://profiler.firefox.com.

    weft-perf.py --sum out.pftrace      instead of samples: how many there are of each function and region

Rejected: naming the thread after the goroutine in each switch (prctl): a system call costs ten switches.
"""
import bisect
import collections
import re
import sys

# Of protos/perfetto/trace/ in github.com/google/perfetto: see runtime/trace/PerfettoWriter.cs.
PACKET, TIMESTAMP, EVENT, INTERNED, TRACK = 1, 8, 11, 12, 60
EVENT_ANNOTATION, EVENT_TYPE, EVENT_NAME, EVENT_TRACK, EVENT_TEXT = 4, 9, 10, 11, 23
BEGIN, END = 1, 2


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """The fields of a message: number and value, an integer or bytes. A file may end in the middle of one."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            length = 8 if kind == 1 else 4
            value, at = data[at:at + length], at + length
        if at > len(data):
            return
        yield tag >> 3, value


class Slices:
    """What begins and ends on one track, in the order of time."""

    def __init__(self):
        self.events = []
        self.begins = None
        self.labels = None

    def add(self, time, label):
        self.events.append((time, label))

    def sort(self):
        """From when on which slice is the innermost one: None where there is none."""
        self.events.sort(key=lambda event: event[0])
        self.begins, self.labels, open_ones = [], [], []
        for time, label in self.events:
            if label is not None:
                open_ones.append(label)
            elif open_ones:
                open_ones.pop()
            self.begins.append(time)
            self.labels.append(open_ones[-1] if open_ones else None)
        self.events = None

    def at(self, time):
        index = bisect.bisect_right(self.begins, time) - 1
        return self.labels[index] if index >= 0 else None


class Trace:
    """Which goroutine runs on a thread at a time."""

    def __init__(self, data):
        self.names = {}
        self.threads = {}      # thread -> Slices of processors' names
        self.processors = {}   # name -> Slices of (function, goroutine)
        self.regions = {}      # goroutine -> Slices of names
        self.tracks = {}       # uuid -> Slices, of those that are wanted
        for number, packet in fields(data):
            if number == PACKET:
                self.read(packet)
        for table in (self.threads, self.processors, self.regions):
            for slices in table.values():
                slices.sort()

    def read(self, packet):
        time = event = None
        for number, value in fields(packet):
            if number == TIMESTAMP:
                time = value
            elif number == EVENT:
                event = value
            elif number == INTERNED:
                for table, entry in fields(value):
                    if table == 2:
                        entry = dict(fields(entry))
                        self.names[entry[1]] = entry[2].decode(errors="replace")
            elif number == TRACK:
                self.read_track(dict(fields(value)))
        if event is not None:
            self.read_event(time, event)

    def read_track(self, track):
        name = track.get(2, b"").decode(errors="replace")
        region = re.fullmatch(r"goroutine (\d+): regions", name)
        if 4 in track:
            self.tracks[track[1]] = self.threads.setdefault(dict(fields(track[4]))[2], Slices())
        elif re.fullmatch(r"P\d+", name):
            self.tracks[track[1]] = self.processors.setdefault(name, Slices())
        elif region:
            self.tracks[track[1]] = self.regions.setdefault(int(region[1]), Slices())

    def read_event(self, time, event):
        kind = track = goroutine = None
        name = ""
        for number, value in fields(event):
            if number == EVENT_TYPE:
                kind = value
            elif number == EVENT_TRACK:
                track = self.tracks.get(value)
            elif number == EVENT_NAME:
                name = self.names[value]
            elif number == EVENT_TEXT:
                name = value.decode(errors="replace")
            elif number == EVENT_ANNOTATION:
                goroutine = dict(fields(value)).get(4)
        if track is None or kind not in (BEGIN, END):
            return
        if kind == END:
            track.add(time, None)
        else:
            track.add(time, name if goroutine is None else (name, goroutine))

    def who(self, thread, time):
        """(function, goroutine, region or None); or None."""
        processor = self.threads[thread].at(time) if thread in self.threads else None
        if processor not in self.processors:
            return None
        run = self.processors[processor].at(time)
        if run is None:
            return None
        regions = self.regions.get(run[1])
        return run[0], run[1], regions.at(time) if regions else None


# perf script: name, [process/]thread, [cpu], seconds.
SAMPLE = re.compile(r"^(\s*)(\S.*?)(\s+)(?:(\d+)/)?(\d+)(\s+(?:\[\d+\]\s+)?)(\d+)\.(\d{6}|\d{9}):")


def label_of(line, trace):
    """The match of the first line of a sample, its label and its goroutine."""
    sample = SAMPLE.match(line)
    if not sample:
        return None, None, None
    seconds, part = sample[7], sample[8]
    who = trace.who(int(sample[5]), int(seconds) * 1_000_000_000 + int(part.ljust(9, "0")))
    if who is None:
        return sample, None, None
    function, goroutine, region = who
    label = function if region is None else f"{function}/{region}"
    return sample, "_".join(label.split()), goroutine


def main(arguments):
    sums = arguments[:1] == ["--sum"]
    if len(arguments) != 1 + sums or arguments[-1].startswith("-"):
        sys.exit("usage: perf script --ns | weft-perf.py [--sum] TRACE")
    try:
        with open(arguments[-1], "rb") as file:
            trace = Trace(file.read())
    except OSError as error:
        sys.exit(f"weft-perf.py: {error}")
    if not trace.processors:
        sys.exit(f"weft-perf.py: {arguments[-1]} is no execution trace of Weft: make one with WEFT_TRACE=FILE")
    count = collections.Counter()
    for line in sys.stdin:
        sample, label, goroutine = label_of(line, trace)
        if sample:
            count[label] += 1
        if label is not None:
            line = f"{sample[1]}{label}{sample[3]}{goroutine}{sample[6]}{line[sample.start(7):]}"
        if not sums:
            sys.stdout.write(line)
    if sums:
        for label, samples in count.most_common():
            print(f"{samples:9} {label or 'no goroutine'}")
    total = sum(count.values())
    print(f"weft-perf.py: {total - count[None]} of {total} samples are of goroutines", file=sys.stderr)
    if total and total == count[None]:
        sys.exit("weft-perf.py: was perf told `-k CLOCK_MONOTONIC`, and is the trace of the same run?")


if __name__ == "__main__":
    main(sys.argv[1:])
