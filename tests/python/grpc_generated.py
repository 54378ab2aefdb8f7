"""The modules that grpcio-tools generates from `proto/`, as any user of the files has them."""

import atexit
import importlib
import pathlib
import shutil
import sys
import tempfile

from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2] / 'proto'
FILES = ('message', 'publish', 'subscribe', 'request', 'admin', 'discover')


class Generated:
    """All messages, enums, stubs and servicers of all files."""


def generate():
    folder = tempfile.mkdtemp(prefix='entrepot-grpc-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    paths = [f'entrepot/v1/{name}.proto' for name in FILES]
    command = ['protoc', f'-I{ROOT}', f'--python_out={folder}', f'--grpc_python_out={folder}']
    assert protoc.main(command + paths) == 0
    sys.path.insert(0, folder)
    all_of = Generated()
    for name in FILES:
        for kind in ('pb2', 'pb2_grpc'):
            module = importlib.import_module(f'entrepot.v1.{name}_{kind}')
            for word, value in vars(module).items():
                if not word.startswith('_'):
                    setattr(all_of, word, value)
    return all_of


pb = generate()
