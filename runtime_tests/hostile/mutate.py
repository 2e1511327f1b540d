"""Crafts one hostile checkpoint from a random generator: mutated pickles, lying sizes, bombs."""

import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from runtime_tests.hostile.seeds import instructions, pickles, sound, unzipped, zipped

EDGES = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62)
FRAGMENTS = (
    *(bytes([opcode]) for opcode in b"N()]}et.utbsoaR0\x81\x85\x86\x87\x88\x89\x90\x91\x93\x94"),
    *(b"K\x00", b"K\xff", b"h\x00", b"q\x00", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"Q", b"P0\n"),
    *(b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ca.b\nC\n"),
    *(b"cargparse\nNamespace\n", b"ctorch\nFloatStorage\n", b"cvgg\nlego_vgg16\n", b"I01\n"),
    *(b"G" + struct.pack(">d", 1e300), b"G" + struct.pack(">d", float("nan"))),
)
REPEATED = (b"]", b"}", b")", b"N", b"h\x00", b"K\x01", b")\x85", b"(", b"h\x00h\x00\x86q\x00")
VALUES: tuple[object, ...] = (
    *EDGES,
    *(-1, 1e300, "F32", "F8_E4M3", [], [2**40, 2**40], [0, 10**12], {}, None),
    *("word " * 20_000, '{"format": "legoexport"}', "[" * 5000),
)
BOMB_LENGTH = 200_000


@dataclass(frozen=True)
class Attack:
    """Instructions that run something, in a real unpickler."""

    sentinel: str

    def call(self, random: Random) -> bytes:
        """One of several calls that make the sentinel."""
        command = f"touch {self.sentinel}"
        code = f"open({self.sentinel!r}, 'w')"
        calls = (
            (b"cposix\nsystem\n", command), (b"cos\nsystem\n", command), (b"cos\npopen\n", command),
            (b"c__builtin__\neval\n", code), (b"cbuiltins\nexec\n", code),
            (b"csubprocess\ngetoutput\n", command), (b"ccommands\ngetoutput\n", command),
            (b"crunpy\nrun_path\n", self.sentinel), (b"cmy_code\nrun\n", self.sentinel),
        )  # fmt: skip
        name, argument = random.choice(calls)
        return name + b"(" + _text(argument) + b"tR"


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def craft(random: Random, container: str, attack: Attack) -> bytes:
    """Make one file.

    Args:
        random: All that decides what it is.
        container: "zip", "legacy" or "safetensors".
        attack: What its pickle tries to run, where it tries.
    """
    content = random.choice(sound(container))
    makers: dict[str, tuple[Callable[[Random, bytes, Attack], bytes], ...]] = {
        "zip": (_zip_pickle, _zip_pickle, _zip_pickle, _zip_records, _zip_compressed, _bytes),
        "legacy": (_legacy_pickle, _legacy_pickle, _legacy_pickle, _bytes),
        "safetensors": (_header, _header, _bytes),
    }
    return random.choice(makers[container])(random, content, attack)


def mutated(random: Random, pickled: bytes, attack: Attack) -> bytes:
    """A pickle some of whose instructions are dropped, doubled, moved, changed or replaced."""
    parts = list(instructions(pickled))
    for _change in range(random.choice((1, 1, 1, 2, 3, 8))):
        at = random.randrange(max(1, len(parts) - 1))
        other = random.randrange(len(parts))
        kind = random.randrange(9)
        if kind == 0:
            del parts[at]
        elif kind == 1:
            parts.insert(at, parts[other])
        elif kind == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 3:
            parts.insert(at, random.choice(FRAGMENTS))
        elif kind == 4:
            parts.insert(at, attack.call(random))
        elif kind == 5:
            parts.insert(at, random.choice(REPEATED) * random.randrange(1, BOMB_LENGTH))
        elif kind == 6:
            parts[at] = _number(random)
        elif kind == 7:
            parts[at] = _text(
                random.choice(("x", "state_dict", "word ")) * random.randrange(20_000)
            )
        else:
            parts[at] = _flipped(random, parts[at])
        if not parts:
            parts = [b"."]
    return b"".join(parts)


def _number(random: Random) -> bytes:
    value = random.choice(EDGES) * random.choice((1, -1))
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def _flipped(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    if changed:
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _zip_pickle(random: Random, content: bytes, attack: Attack) -> bytes:
    records = unzipped(content)
    name = next(name for name in records if name.endswith("data.pkl"))
    return zipped(records | {name: mutated(random, records[name], attack)})


def _zip_records(random: Random, content: bytes, _attack: Attack) -> bytes:
    records = unzipped(content)
    name = random.choice(list(records))
    kind = random.randrange(4)
    if kind == 0:
        del records[name]
    elif kind == 1:
        records[name] = records[name][: random.randrange(len(records[name]) + 1)]
    elif kind == 2:
        records[name] = random.randbytes(random.randrange(2000))
    else:
        records |= {f"{name}{number}": b"" for number in range(random.randrange(3000))}
    return zipped(records)


def _zip_compressed(random: Random, content: bytes, _attack: Attack) -> bytes:
    records = unzipped(content)
    name = random.choice(list(records))
    bomb = bytes(random.randrange(2**22)) if random.random() < 0.5 else records[name]
    return zipped(records | {name: bomb}, zipfile.ZIP_DEFLATED)


def _legacy_pickle(random: Random, content: bytes, attack: Attack) -> bytes:
    parts = pickles(content)
    at = random.choice((0, 1, 2, 3, 3, 3, 3, 4))
    parts[at] = mutated(random, parts[at], attack)
    return b"".join(parts)


def _bytes(random: Random, content: bytes, _attack: Attack) -> bytes:
    """Sizes that lie, wherever they are; bits that flip; ends that are missing."""
    changed = bytearray(content)
    for _change in range(random.randrange(1, 6)):
        near = min(4000, len(changed))
        at = random.choice((random.randrange(near), len(changed) - 1 - random.randrange(near)))
        value = random.choice(EDGES)
        width = random.choice((1, 2, 4, 8))
        changed[at : at + width] = (value % 256**width).to_bytes(
            width, random.choice(("little", "big"))
        )
    if random.random() < 0.2:
        del changed[random.randrange(len(changed)) :]
    return bytes(changed)


def _header(random: Random, content: bytes, _attack: Attack) -> bytes:
    (length,) = struct.unpack_from("<Q", content)
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    for _change in range(random.randrange(1, 4)):
        name = random.choice(list(header) or ["x"])
        entry = header.get(name)
        field = random.choice(("dtype", "shape", "data_offsets", "legoexport"))
        value = random.choice(VALUES)
        if isinstance(entry, dict) and random.random() < 0.7:
            entry[field] = value
        elif random.random() < 0.5:
            header[random.choice((name, "__metadata__", "x" * random.randrange(60_000)))] = value
        else:
            header.pop(name, None)
    text = json.dumps(header).encode()
    claimed = random.choice((len(text),) * 5 + EDGES)
    return struct.pack("<Q", claimed % 2**64) + text + data
