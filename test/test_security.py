# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What docs/security.md says that the package never does, no file of it does."""

import ast

import pytest
from test_packaging import imports, PACKAGE, REPOSITORY

FILES = sorted([*PACKAGE.rglob('*.py'), *(path for folder in ('launch', 'tools', 'demo')
                                          for path in (REPOSITORY / folder).glob('*.py'))])
# Modules that make objects or run code of bytes, and modules that open ports.
UNPICKLERS = {'cloudpickle', 'dill', 'joblib', 'marshal', 'pickle', 'shelve'}
SERVERS = {'http.server', 'socket', 'socketserver', 'wsgiref', 'xmlrpc'}
BUILTINS = {'__import__', 'compile', 'eval', 'exec'}
# Function -> the keyword and value that each call must have.
REQUIRED = {'torch.load': ('weights_only', True),
            'from_pretrained': ('trust_remote_code', False)}
# Function -> the keyword and the values that a call may have.
OPTIONAL = {'load': ('allow_pickle', {False}), 'save': ('allow_pickle', {False}),
            'run': ('shell', {False}), 'Popen': ('shell', {False})}
FORBIDDEN = {'jit.load', 'os.system', 'os.popen', 'torch.hub.load', 'yaml.load',
             'yaml.unsafe_load', 'yaml.full_load', 'yaml.load_all', 'extractall'}
# The files that download, each when a command was asked to.
DOWNLOADS = {'jrn_perception/training/pretrained.py': {'urllib.request'},
             'jrn_perception/perception/inputs/transformers.py': {'huggingface_hub'}}


def calls(source):
    """Return (full name as written, keywords with literal values) of all calls."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {
                keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords
                if isinstance(keyword.value, ast.Constant)}


def faults(source):
    """Return the calls of a file that could run code of data."""
    found = []
    for name, keywords in calls(source):
        last = name.rpartition('.')[2]
        required = REQUIRED.get(name) or REQUIRED.get(last)
        if required and keywords.get(required[0]) is not required[1]:
            found.append(f'{name} without {required[0]}={required[1]}')
        keyword, values = OPTIONAL.get(last, ('', ()))
        if keyword in keywords and keywords[keyword] not in values:
            found.append(f'{name} with {keyword}={keywords[keyword]}')
        if name in BUILTINS or any(name == each or name.endswith(f'.{each}')
                                   for each in FORBIDDEN):
            found.append(name)
    return found


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_file_runs_code_of_data_opens_a_port_or_downloads_unasked(path):
    assert faults(path.read_text()) == []
    # The error of a refused pickle is all that may be known of pickles.
    names = imports(path) - {'pickle.UnpicklingError'}
    modules = {name for full in names
               for name in (full, full.rpartition('.')[0], full.split('.')[0])}
    assert not modules & (UNPICKLERS | SERVERS)
    downloads = DOWNLOADS.get(path.relative_to(REPOSITORY).as_posix(), set())
    assert modules & {'huggingface_hub', 'requests', 'urllib.request'} <= downloads


@pytest.mark.parametrize('source', [
    'torch.load(path)', 'torch.load(path, weights_only=False)', 'torch.load(path, weights_only=x)',
    'eval(text)', 'exec(text)', 'np.load(path, allow_pickle=True)', 'yaml.load(text, Loader)',
    'subprocess.run(text, shell=True)', 'Auto.from_pretrained(name)', 'os.system(text)',
    'torch.jit.load(path)', 'archive.extractall(folder)'])
def test_the_check_finds(source):
    assert len(faults(source)) == 1


@pytest.mark.parametrize('source', [
    'torch.load(path, weights_only=True)', 'network.eval()', 're.compile(text)',
    'np.load(path)', 'yaml.safe_load(text)', 'subprocess.run(words)'])
def test_the_check_lets_pass(source):
    assert faults(source) == []


def test_every_download_has_a_digest_and_runs_no_setup():
    source = (PACKAGE / 'training' / 'pretrained.py').read_text()
    tree = ast.parse(source)
    names = [target.id for statement in tree.body if isinstance(statement, ast.Assign)
             for target in statement.targets]
    origins = [name.rpartition('_')[0] for name in names if name.endswith('_URL')]
    assert origins == ['RESNET', 'ADE20K']
    for origin in (*origins, 'MOBILENET'):
        assert f'_check(path, {origin}_SHA256)' in source
    assert "'--only-binary', ':all:'" in source
