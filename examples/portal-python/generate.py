"""Makes Python modules of the API: generate.py PROTO_FOLDER OUTPUT_FOLDER."""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

proto, output = map(Path, sys.argv[1:])
output.mkdir(parents=True, exist_ok=True)
# With protoc's own files, such as google/protobuf/timestamp.proto.
well_known = files("grpc_tools") / "_proto"
names = sorted(str(file.relative_to(proto)) for file in proto.glob("landlord/v1/*.proto"))
sys.exit(protoc.main(["protoc", f"-I{proto}", f"-I{well_known}", f"--python_out={output}", f"--grpc_python_out={output}", *names]))
