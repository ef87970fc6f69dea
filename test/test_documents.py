# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The documents and the configuration say what the code does."""

from dataclasses import asdict
import importlib
import json
import os
from pathlib import Path
import re
import shlex
import subprocess
import sys

import pytest
from test_packaging import assigned, PACKAGE, ROOMS
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / 'README.md').read_text()
PAGES = {str(path.relative_to(REPOSITORY)): path.read_text() for path in (
    REPOSITORY / 'README.md', REPOSITORY / 'CONTRIBUTING.md',
    *sorted((REPOSITORY / 'docs').glob('*.md')))}
LAUNCH = {path.name: path.read_text() for path in (REPOSITORY / 'launch').glob('*.launch.py')}
COMMANDS = {f'jrn_{name}': name for name in assigned(REPOSITORY / 'setup.py', 'SCRIPTS')}
# Commands that have a parser for each of these first arguments.
SUBCOMMANDS = {'jrn_evaluate': ('dataset', 'influence', 'bag', 'bags', 'record'),
               # Without a subcommand it reads data sets.
               'jrn_distill': ('', 'bags'),
               'jrn_train': ('teacher', 'hydranet', 'depth', 'semantics', 'symbiosis',
                             'symbiosis_cityscapes', 'symbiosis_scannet', 'jrn')}
# Options of other programs: ROS, torchrun, Docker, git and Python's own.
FOREIGN = {'--ros-args', '--params-file', '--nnodes', '--nproc-per-node', '--no-python',
           '--rdzv-endpoint', '--shm-size', '--system-site-packages', '--from-paths',
           '--ignore-src', '--packages-select', '--fix', '--help', '--enclave',
           '--file', '--tag', '--rm', '--network', '--ipc', '--gpus', '--build-arg', '--once',
           '--size', '--square'}
# Parameters of other packages' nodes.
FOREIGN_PARAMETERS = {'in_transport', 'out_transport', 'frame_id'}
# Files that the reader of a page makes from it.
OF_THE_READER = {'camera_depth.launch.py'}
OPTION = re.compile(r'(?<![\w-])--[a-z][\w-]*')


def rows_of(page, heading):
    """Return the lines of the first table behind a heading of a page, without its head."""
    section = PAGES[page].split(f'{heading}\n', 1)[1]
    return re.search(r'((?:^\|.*\n)+)', section, re.MULTILINE)[1].splitlines()[2:]


def cells_of(line):
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip('|').split('|')]


def require_rows(page, heading, expected):
    """Fail unless a table consists of these rows (lists of cells); print the rows to paste."""
    expected = [f'| {" | ".join(cells)} |' for cells in expected]
    message = '\n'.join([f'{page}, the table behind "{heading}" should be', *expected])
    assert [cells_of(line) for line in rows_of(page, heading)] == [
        cells_of(line) for line in expected], message


def blocks(text):
    """Return (language, content) of the code blocks of a page."""
    return re.findall(r'^```(\w*)\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)


def inline(text):
    """Return the inline code of a page."""
    return re.findall(r'`([^`\n]+)`', re.sub(r'^```.*?^```$', '', text, flags=re.M | re.DOTALL))


def shell_lines(text):
    """Return the words of each shell command in the code blocks and the inline code of a page."""
    found = [re.sub(r'\\\n', ' ', content) for language, content in blocks(text) if not language]
    found += inline(text)
    for content in found:
        for line in content.splitlines():
            line = re.sub(r'(^|\s)#.*$', '', line)
            for command in re.split(r'&&|;', line):
                try:
                    yield shlex.split(command)
                except ValueError:  # An apostrophe in something that is no command.
                    yield command.split()


def calls(text):
    """Return (command, its arguments) for each of our commands that a page shows."""
    for words in shell_lines(text):
        for index, word in enumerate(words):
            if word in COMMANDS:
                yield word, words[index + 1:]


ALL_WORDS = [(page, words) for page, text in PAGES.items() for words in shell_lines(text)]
ALL_CALLS = [(page, *call) for page, text in PAGES.items() for call in calls(text)]


@pytest.fixture(scope='module')
def helps():
    """Return the options that ``--help`` shows, by (command, subcommand or '')."""
    pytest.importorskip('rclpy', reason='jrn_node needs rclpy to show its help')
    program = """
import contextlib, importlib, io, json, sys
found = []
for command, arguments in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        importlib.import_module(f'jrn_perception.cli.{command}').main([*arguments, '--help'])
    found.append(out.getvalue())
json.dump(found, sys.stdout)
"""
    pairs = [(command, sub) for command in COMMANDS for sub in SUBCOMMANDS.get(command, ('',))]
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, cwd=REPOSITORY,
        env={**os.environ, 'COLUMNS': '200'}, timeout=300,
        input=json.dumps([(COMMANDS[command], [sub] if sub else []) for command, sub in pairs]))
    assert done.returncode == 0, done.stderr
    found = {pair: set(OPTION.findall(text)) for pair, text in zip(pairs, json.loads(done.stdout))}
    assert all('--help' in options or '--ros-args' in options for options in found.values())
    return found


def test_the_parameter_file_is_the_defaults_of_the_code():
    pytest.importorskip('rclpy', reason='the table of parameters needs rclpy')
    from jrn_perception.ros.parameters.table import PARAMETERS
    content = yaml.safe_load((REPOSITORY / 'config' / 'jrn.yaml').read_text())
    defaults = {row.name: row.default for row in PARAMETERS if row.settable}
    assert content == {'/**': {'ros__parameters': defaults}}
    for name, value in content['/**']['ros__parameters'].items():
        assert type(value) is type(defaults[name]), name


def test_the_page_of_the_node_lists_every_parameter_as_the_code_has_it():
    pytest.importorskip('rclpy', reason='the table of parameters needs rclpy')
    from jrn_perception.ros.parameters.table import PARAMETERS

    def shown(value):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return {'': '(empty)', "['']": "(the weights')"}.get(text, f'`{text}`')

    require_rows('docs/node.md', '## Parameters', [
        [f'`{row.name}`', shown(row.default), 'yes' if row.dynamic else 'no', row.meaning]
        for row in PARAMETERS])


def test_readme_lists_every_output_as_the_code_has_it():
    pytest.importorskip('rclpy', reason='the table of outputs needs rclpy')
    from jrn_perception.ros.outputs import OUTPUTS
    rows = {cells[1]: cells for cells in map(cells_of, rows_of('docs/node.md', '## Topics'))}
    for output in OUTPUTS:
        assert rows[f'`{output.name}`'] == [
            'pub', f'`{output.name}`', f'sensor_msgs/{output.kind.__name__}', output.meaning,
            f'reliable, {output.qos.depth}']


def test_the_page_of_the_node_names_the_counters_of_the_diagnostics():
    pytest.importorskip('rclpy', reason='the diagnostics need rclpy')
    from jrn_perception.ros.camera.diagnostics import Statistics, summarise
    statistics = Statistics()
    numbers = summarise(statistics, statistics.recent())
    topics = PAGES['docs/node.md'].split('## Topics\n', 1)[1].split('\n## ', 1)[0]
    named = set(re.findall(r'`(\w+_(?:dropped|rejected|failed|in_hz))`', topics))
    assert named == {name for name in numbers
                     if re.search('_(dropped|rejected|failed|in_hz)$', name)}


def test_readme_lists_every_launch_argument():
    text = LAUNCH['jrn.launch.py']
    names = {*assigned(REPOSITORY / 'launch' / 'jrn.launch.py', 'DESCRIPTIONS'),
             *re.findall(r"DeclareLaunchArgument\(\s*'(\w+)'", text)}
    section = README.split('## On a robot\n', 1)[1].split('\n### ', 1)[0]
    assert {name for name in names if not re.search(f'`{name}(:=[^`]*)?`', section)} == set()


def test_viewers_show_topics_that_exist():
    pytest.importorskip('rclpy', reason='the table of outputs needs rclpy')
    from jrn_perception.ros.outputs import OUTPUTS
    # The coloured cloud is depth_image_proc's.
    known = {f'/{output.name}' for output in OUTPUTS} | {
        '/points_color', '/camera_info', '/diagnostics'}
    layout = json.loads((REPOSITORY / 'config' / 'jrn_foxglove.json').read_text())
    panels, shown = layout['configById'], set()
    for panel in panels.values():
        shown |= {*panel.get('topics', {}), *panel.get('imageMode', {}).values()}
        shown |= {panel['topicToRender']} if 'topicToRender' in panel else set()
    assert {'/overlay', '/depth_color', '/influence/depth_color'} <= shown <= known

    def leaves(node):
        return [node] if isinstance(node, str) else [
            *leaves(node['first']), *leaves(node['second'])]
    assert sorted(leaves(layout['layout'])) == sorted(panels)
    rviz = yaml.safe_load((REPOSITORY / 'config' / 'jrn.rviz').read_text())
    assert {display['Topic']['Value'] for display in
            rviz['Visualization Manager']['Displays'] if 'Topic' in display} <= known


def test_readme_lists_every_executable():
    listed = {match for line in rows_of('README.md', '## Commands')
              for match in re.findall(r'jrn_\w+', cells_of(line)[0])}
    assert listed == set(COMMANDS)


def test_readme_is_one_page_and_shows_a_picture():
    assert len(README.splitlines()) <= 220
    assert re.search(r'!\[[^]]+\]\((?!http)[^)]+\.(png|jpg)\)', README)


def test_readme_example_runs(monkeypatch):
    from jrn_perception.perception.backends import choice
    import numpy as np
    # In torch: other tests export networks, which takes half a minute here.
    monkeypatch.setattr(choice, 'installed', tuple)
    example, = (content for language, content in blocks(README) if language == 'python')
    rgb = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    names = {'rgb': rgb}
    exec(example, names)
    assert names['prediction'].depth.shape == rgb.shape[:2]
    # Each value that a line shows is what its comment says of it.
    assert names['jrn'](rgb).inputs.depth.shape == rgb.shape[:2]
    assert names['prediction'].labels.max() < len(names['prediction'].label_set.names)


def test_documents_have_no_gaps():
    for page, text in PAGES.items():
        assert not re.findall(r'^[A-Z]{4,}$', text, re.MULTILINE), page


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r'\]\((?!http)([^)]+)\)', PAGES[page]):
        path, _, anchor = link.partition('#')
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r'^#+ (.*)$', target.read_text(), re.MULTILINE)
            assert anchor in [
                re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings]


def test_readme_leads_to_every_document():
    linked = re.findall(r'\]\((docs/\w+\.md|CONTRIBUTING\.md)[)#]', README)
    assert set(linked) == set(PAGES) - {'README.md'}


def test_weights_page_lists_the_shipped_files_as_their_cards_have_them():
    from jrn_perception import weights

    def measured(metrics):
        styles = {'mean_iou': 'mIoU {:.1f} %', 'rms': 'rms {:.2f} m'}
        return ', '.join(style.format(metrics[name]) for name, style in styles.items()
                         if name in metrics)

    rows = {cells[0].strip('`'): cells for cells in map(
        cells_of, rows_of('docs/weights.md', '# Weights'))}
    assert set(rows) == set(weights.shipped())
    for name, (_, _, classes, size, metrics) in rows.items():
        path = weights.SHIPPED / f'{name}.safetensors'
        card = weights.read_card(path)
        assert classes == (str(len(card.label_set)) if card.labels else ''), name
        assert size == f'{path.stat().st_size / 1e6:.2f} MB', name
        assert metrics == measured(card.metrics['output']), name


def test_results_page_has_the_numbers_of_the_cards():
    from jrn_perception import weights

    def texts(metrics, names):
        return [f'{metrics[name]:.1f}' if name in ('mean_iou', 'pixel_accuracy')
                else f'{metrics[name]:.3f}'.lstrip('0') for name in names]

    metrics = {name: weights.read_card(weights.SHIPPED / f'{name}.safetensors').metrics
               for name in weights.shipped()}
    rows = {cells[0]: cells[1:] for cells in map(
        cells_of, rows_of('docs/results.md', "### Five classes, the JRN paper's Table I"))}
    order = ('rel', 'rel_sqr', 'log10', 'rms', 'rms_log', 'delta1', 'delta2', 'delta3',
             'mean_iou', 'pixel_accuracy')
    for variant in ('Sum60', 'Cat60', 'Cat10', 'Cat5', 'Cat1'):
        found = metrics[f'jrn_{variant.lower()}']
        assert rows[f'ours: {variant}'] == texts(found['output'], order)
        assert rows['ours: inputs'] == texts(found['inputs'], order)
    rows = {cells[0]: cells[2:] for cells in map(
        cells_of, rows_of('docs/results.md', '### Forty classes'))}
    order = ('mean_iou', 'rms', 'rms_log')
    assert rows['ours: HydraNet'] == texts(metrics['hydranet_nyu40']['output'], order)
    alone = metrics['semantics_mobilenetv2']['output'] | metrics['depth_mobilenetv2']['output']
    assert rows['ours: semantics alone / depth alone'] == texts(alone, order)


def test_results_page_has_the_temperatures_of_the_cards():
    from jrn_perception import weights
    rows = {cells[0].strip('`'): cells[1:4] for cells in map(
        cells_of, rows_of('docs/results.md', '## Confidence'))}
    expected = {}
    for name, path in weights.shipped().items():
        card = weights.read_card(path)
        if card.labels:
            found = card.metrics['calibration']
            assert (found['reader'], found['split'], found['images']) == ('nyuv2', 'val', 116)
            expected[name] = [f'{card.temperature:.2f}', *(
                f'{found[key]:.3f}'.lstrip('0') for key in ('ece_before', 'ece'))]
        else:
            assert card.temperature == 1
    assert rows == expected


def test_range_page_lists_the_inputs_of_the_node():
    pytest.importorskip('rclpy', reason='the inputs need rclpy')
    from jrn_perception.ros.range.correction import CorrectionReport
    from jrn_perception.ros.range.inputs import KINDS
    rows = [cells[:4] for cells in map(cells_of, rows_of('docs/range.md', '## In the node'))]
    assert rows == [
        [f'`{kind}`', f'`range/{kind}`', f'`range_{kind}`', f'sensor_msgs/{message.__name__}']
        for kind, (message, _) in KINDS.items()]
    arguments = assigned(REPOSITORY / 'launch' / 'jrn.launch.py', 'DESCRIPTIONS')
    assert {row[2].strip('`') for row in rows} <= set(arguments)
    assert {key for key in CorrectionReport().values() if f'`{key}`' not in
            PAGES['docs/range.md']} == set()


def test_architecture_page_lists_the_rooms_as_the_imports_are_checked():
    rows = {cells[0].strip('`'): cells for cells in map(
        cells_of, rows_of('docs/architecture.md', '# Architecture'))}
    rooms = set(ROOMS) - {'__init__'}
    assert set(rows) == rooms
    for name, (_, contents, imports) in rows.items():
        assert (PACKAGE / name).is_dir() or (PACKAGE / f'{name}.py').is_file(), name
        for folder in re.findall(r'`(\w+)/`', contents):
            assert (PACKAGE / name / folder).is_dir(), f'{name}/{folder}'
        if name != 'cli':
            assert re.findall(r'`(\w+)`', imports) == sorted(ROOMS[name]), name


def test_every_named_command_exists():
    from jrn_perception import weights
    known = {*COMMANDS, 'jrn_perception',
             *(path.stem for path in weights.SHIPPED.glob('*.safetensors')),
             *(path.stem for path in (REPOSITORY / 'config').iterdir())}
    for page, text in PAGES.items():
        assert set(re.findall(r'\bjrn_\w+', text)) <= known, page
    for page, command, arguments in ALL_CALLS:
        if command in SUBCOMMANDS and '' not in SUBCOMMANDS[command] and arguments:
            assert arguments[0] in {*SUBCOMMANDS[command], 'NETWORK'} or arguments[0][0] == '-', (
                page, command, arguments)


def test_every_shown_option_is_known_to_its_command(helps):
    tools = [path.read_text() for folder in ('tools', 'benchmarks')
             for path in (REPOSITORY / folder).glob('*.py')]
    everything = set().union(*helps.values()) | FOREIGN | {
        *re.findall(r"add_argument\('(--[a-z-]+)'", '\n'.join(tools))}
    for page, command, arguments in ALL_CALLS:
        shown = {word.partition('=')[0] for word in arguments if OPTION.match(word)}
        subs = SUBCOMMANDS.get(command, ('',))
        known = [helps[command, sub] for sub in subs if not sub or sub in arguments[:1]]
        known = set().union(*(known or [helps[command, sub] for sub in subs]))
        assert shown <= known | {'--help'}, f'{page}: {command} {" ".join(arguments)}'
    for page, words in ALL_WORDS:
        shown = {match for word in words for match in OPTION.findall(word)}
        assert shown <= everything, f'{page}: {" ".join(words)}'


def test_every_shown_number_of_a_recipe_exists():
    from jrn_perception.training.recipes import RECIPES
    fields = {name: set(asdict(recipe)) for name, recipe in RECIPES.items()}
    for page, command, arguments in ALL_CALLS:
        if command == 'jrn_train' and arguments and arguments[0] in fields:
            changed = {after.partition('=')[0] for word, after in zip(arguments, arguments[1:])
                       if word == '--set'}
            assert changed - {'NAME'} <= fields[arguments[0]], page


def test_every_make_target_exists():
    targets = set(re.findall(r'^\.PHONY: (.+)$', (REPOSITORY / 'Makefile').read_text(), re.M))
    for page, words in ALL_WORDS:
        if words[:1] == ['make'] and words[1:]:
            # In CONTRIBUTING's list two spaces or more separate the command from its meaning.
            assert words[1] in targets, f'{page}: {" ".join(words)}'


def test_every_assigned_name_is_a_parameter_or_a_launch_argument():
    pytest.importorskip('rclpy', reason='the table of parameters needs rclpy')
    from jrn_perception.ros.parameters.table import BY_NAME
    for page, words in ALL_WORDS:
        launched = [LAUNCH[word] for word in words if word.endswith('.launch.py') and '/' not in
                    word and word not in OF_THE_READER]
        for before, word in zip(['', *words], words):
            name, assigned_to, _ = word.partition(':=')
            if assigned_to and before != '-r' and name.islower():
                known = any(f"'{name}'" in text for text in launched or LAUNCH.values())
                # Every parameter is a launch argument, too.
                assert known or name in {*BY_NAME, *FOREIGN_PARAMETERS}, f'{page}: {word}'
        if words[:3] == ['ros2', 'param', 'set']:
            assert words[3] == '/jrn_perception' and words[4] in BY_NAME, page


@pytest.mark.parametrize('page', PAGES)
def test_every_named_file_exists(page):
    words = {word for words in shell_lines(PAGES[page]) for word in words}
    tops = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - {'runs'}
    for word in words:
        word = word.rstrip(',.')
        ours = '/' in word and word.split('/')[0] in tops and not word.endswith('output.png')
        if ours or re.fullmatch(r'[\w./-]+\.(py|sh|xml|rst|cfg|toml)', word):
            roots = (REPOSITORY, PACKAGE, REPOSITORY / 'launch')
            assert any((root / word).exists() for root in roots) or (
                word == '__init__.py' or Path(word).name in OF_THE_READER), word


@pytest.mark.parametrize('page', PAGES)
def test_every_named_module_exists(page):
    for name in re.findall(r'\bjrn_perception(?:\.[A-Za-z_]\w*)+', PAGES[page]):
        if name.endswith('.git'):
            continue
        parts = name.split('.')
        found = importlib.import_module(parts[0])
        for index, part in enumerate(parts[1:], 2):
            if not hasattr(found, part):
                importlib.import_module('.'.join(parts[:index]))
            found = getattr(found, part)


def test_nav2_page_configures_our_topics_and_classes():
    from jrn_perception import networks
    names = networks.find(networks.DEFAULT).labels.names
    example, = (content for language, content in blocks(PAGES['docs/nav2.md'])
                if language == 'yaml')
    layer = yaml.safe_load(example)['semantic_segmentation_layer']['camera']
    topics = {cells[1].strip('`') for cells in map(
        cells_of, rows_of('docs/node.md', '## Topics')) if cells[0] == 'pub'}
    assert {layer[f'{role}_topic'].strip('/') for role in (
        'segmentation', 'confidence', 'pointcloud')} | {layer['labels_topic'].strip('/')} <= topics
    for kind in layer['class_types']:
        assert set(layer[kind]['classes']) <= set(names)
