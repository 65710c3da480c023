"""Packs built programs for shipping: `pack.py --arch x86_64 --from FOLDER --to dist`.

    dayfly-agent-ARCH          the agent
    dayfly-agent-ARCH.tar.gz   the agent with its units, as images and user-data install it
    dayfly-control-ARCH.zip    the Lambda functions: one `bootstrap`
    dayfly-ARCH                the operator's command line
    SHA256SUMS                 of all of these, for whichever architectures are there

`pack.py --bundle AGENT --to FILE` makes the second of these alone, of any program.

The same programs give the same bytes: times, modes and order are fixed. A program that is linked to anything at run
time, or built for another architecture, is refused.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import re
import shutil
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

UNITS = Path(__file__).resolve().parent.parent / "agent" / "systemd"
ARCHES = {"x86_64": 62, "aarch64": 183}
SHIPPED = re.compile(r"^dayfly(-agent|-control)?-(x86_64|aarch64)(\.zip|\.tar\.gz)?$")


class NotShippable(Exception):
    """A program that must not leave the house."""


def check(program: Path, arch: str) -> None:
    """Refuses what is not a static program for `arch`."""
    head = program.read_bytes()
    if head[:6] != b"\x7fELF\x02\x01":
        raise NotShippable(f"{program} is no 64-bit program for Linux")
    machine = struct.unpack_from("<H", head, 18)[0]
    if machine != ARCHES[arch]:
        raise NotShippable(f"{program} is for machine {machine}, expected {ARCHES[arch]} ({arch})")
    start, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    # PT_INTERP names the loader that a dynamically linked program needs.
    if any(struct.unpack_from("<I", head, start + i * size)[0] == 3 for i in range(count)):
        raise NotShippable(f"{program} is linked dynamically, expected a static program")


def zip_bootstrap(program: Path, to: Path) -> None:
    """Lambda runs `bootstrap` of the zip, which must be executable there."""
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = (0o100755) << 16
    with zipfile.ZipFile(to, "w") as archive:
        archive.writestr(entry, program.read_bytes(), compresslevel=9)


def bundle(agent: Path, to: Path) -> None:
    """The agent and its units as one archive."""
    files = [("dayfly-agent", agent, 0o755), *((unit.name, unit, 0o644) for unit in sorted(UNITS.glob("*.service")))]
    with open(to, "wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, path, mode in files:
                entry = tarfile.TarInfo(name)
                content = path.read_bytes()
                entry.size, entry.mode = len(content), mode
                archive.addfile(entry, io.BytesIO(content))


def sums(folder: Path) -> str:
    """What `sha256sum --check` reads."""
    shipped = sorted(path for path in folder.iterdir() if SHIPPED.match(path.name))
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in shipped)


def pack(arch: str, built: Path, to: Path) -> list[Path]:
    """Packs the programs in `built`; what was made."""
    programs = {name: built / name for name in ("dayfly-agent", "dayfly-control", "dayfly")}
    for program in programs.values():
        check(program, arch)
    to.mkdir(parents=True, exist_ok=True)
    made = [to / f"dayfly-agent-{arch}", to / f"dayfly-control-{arch}.zip", to / f"dayfly-{arch}"]
    made.append(to / f"dayfly-agent-{arch}.tar.gz")
    for name, path in (("dayfly-agent", made[0]), ("dayfly", made[2])):
        shutil.copyfile(programs[name], path)
        path.chmod(0o755)
    zip_bootstrap(programs["dayfly-control"], made[1])
    bundle(programs["dayfly-agent"], made[3])
    (to / "SHA256SUMS").write_text(sums(to))
    return made


def main(argv: list[str]) -> int:
    """Reads the command line and packs."""
    parser = argparse.ArgumentParser(description="Packs built programs for shipping")
    parser.add_argument("--arch", choices=sorted(ARCHES))
    parser.add_argument("--from", dest="built", type=Path, metavar="FOLDER")
    parser.add_argument("--bundle", type=Path, metavar="AGENT")
    parser.add_argument("--to", required=True, type=Path, metavar="FOLDER")
    args = parser.parse_args(argv)
    if not args.bundle and not (args.arch and args.built):
        parser.error("found neither --bundle nor both --arch and --from")
    try:
        if args.bundle:
            bundle(args.bundle, args.to)
            made = [args.to]
        else:
            made = pack(args.arch, args.built, args.to)
    except (NotShippable, OSError) as error:
        print(f"pack: {error}", file=sys.stderr)
        return 1
    for path in made:
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
