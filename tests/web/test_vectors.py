"""Which of the decoder's two modules is taken: how sums overflow tells what a dot product is made of."""

from __future__ import annotations

import json
import subprocess

from tests.web.conftest import WEB

MACHINES = {
    "vpdpbusd": "4 * a * (b & 255)",
    "sdot": "4 * a * b",
    "pmaddubsw": "2 * Math.max(-32768, Math.min(2 * a * (b & 255), 32767))",
    "smull": "2 * ((2 * a * b) << 16 >> 16)",
    "none": "",
}
"""What engines make the dot product of, the first two of one instruction; "none": they do not know it."""
CHOOSE = """
const { surroundings } = await import("./src/picture/surroundings.js"), asked = [];
globalThis.fetch = (address) => { asked.push(address); return Promise.resolve({ ok: false }); };
for (const [source, settings] of JSON.parse(process.argv[1])) {
    const d = new Function("a", "b", `return ${source}`);
    WebAssembly.validate = () => source !== "";
    WebAssembly.Module = WebAssembly.Instance = class { exports = { d }; };
    await surroundings(settings).module().catch(() => null);
}
console.log(JSON.stringify(asked));
"""
BOTH = {"module": "http://plain", "relaxed": "http://relaxed"}
CHOICES = (
    ("vpdpbusd", BOTH, "relaxed"),
    ("sdot", BOTH, "relaxed"),
    ("pmaddubsw", BOTH, "plain"),
    ("smull", BOTH, "plain"),
    ("none", BOTH, "plain"),
    ("sdot", {"module": "http://plain"}, "plain"),
    ("sdot", BOTH | {"vectors": "plain"}, "plain"),
    ("smull", BOTH | {"vectors": "relaxed"}, "relaxed"),
)


def test_relaxed_vectors_are_taken_where_their_product_is_one_instruction(node, web_build):
    cases = json.dumps([[MACHINES[machine], settings] for machine, settings, _ in CHOICES])
    command = [node, "--input-type=module", "-e", CHOOSE, cases]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [f"http://{module}" for _, _, module in CHOICES]
