"""Writes a tiny llama model whose answers are known: a real upstream without a download.

Usage: make_gguf.py FILE

Tokens are one-hot embedded, attention and feed-forward add nothing, and the output
matrix is a table of which token follows which. So llama.cpp runs its real tokenizer,
chat template, sampler, grammar and streaming, and says one of two things:

* a plain chat:      "Hello there 你好 🌍 done." in several chunks
* a chat with tools: a call of `get_time`, which the template asks for

The same file comes out each time, byte for byte.
"""

import sys

import gguf
import numpy as np

CONTEXT = 4096  # tokens
HEADS = 4
FEED_FORWARD = 32  # any small number: its weights are zero
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # token types of GGUF
END = 2  # the id of </s>

TEXT = ("Hello", " there", " 你", "好 ", "🌍", " done.")
TOOL = (
    '<tool_call>\n{"name": "get_time", "arguments": ',
    '{"ok": ',
    'true, "c": ',
    '"x"}',
    "}\n</tool_call>",
)

TEMPLATE = """{%- if tools %}<|im_start|>system
You are a function calling AI model. <tools>{% for t in tools %}{{ t | tojson }}{% endfor %}</tools> For each function call return a json object within <tool_call></tool_call> tags: <tool_call>
{"name": <function-name>, "arguments": <args-dict>}
</tool_call><|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m.role }}
{%- if m.tool_calls %}{% for tc in m.tool_calls %}
<tool_call>
{"name": "{{ tc.function.name }}", "arguments": {{ tc.function.arguments | tojson }}}
</tool_call>{% endfor %}{% else %}
{{ m.content }}{% endif %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant{% if tools and messages[-1].role != 'tool' %}{{ '\\n' }}{% else %}:{% endif %}{% endif %}"""


class Vocabulary:
    """Tokens in the order of their ids."""

    def __init__(self):
        self.tokens, self.types, self.scores = [], [], []
        for special, kind in ((b"<unk>", UNKNOWN), (b"<s>", CONTROL), (b"</s>", CONTROL)):
            self.add(special, kind)
        self.first_byte = len(self.tokens)
        for byte in range(256):
            self.add(b"<0x%02X>" % byte, BYTE)
        self.add("▁", NORMAL, -1.0)
        for rank, code in enumerate(range(33, 127)):
            self.add(chr(code), NORMAL, -2.0 - rank)

    def add(self, token, kind, score=0.0):
        self.tokens.append(token.encode() if isinstance(token, str) else token)
        self.types.append(kind)
        self.scores.append(score)
        return len(self.tokens) - 1


def next_token_table(vocabulary):
    """Which token follows which: the prompt's last token chooses the answer."""
    text = [vocabulary.add(token, USER_DEFINED) for token in TEXT]
    tool = [vocabulary.add(token, USER_DEFINED) for token in TOOL]
    following = {}
    newline = vocabulary.first_byte + ord("\n")
    colon = vocabulary.tokens.index(b":")
    for start, answer in ((newline, tool), (colon, text)):
        current = start
        for token in [*answer, END]:
            following[current] = token
            current = token
    return following


def write(path):
    vocabulary = Vocabulary()
    following = next_token_table(vocabulary)
    size = len(vocabulary.tokens)
    width = (size + 31) // 32 * 32

    embedding = np.zeros((size, width), np.float32)
    embedding[np.arange(size), np.arange(size)] = 1.0
    output = np.zeros((size, width), np.float32)
    for token, after in following.items():
        output[after, token] = 2.0
    output[END, :size] += 0.2  # whatever has no successor ends the answer

    file = gguf.GGUFWriter(path, "llama")
    file.add_name("markov")
    file.add_context_length(CONTEXT)
    file.add_embedding_length(width)
    file.add_block_count(1)
    file.add_feed_forward_length(FEED_FORWARD)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(width // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(size)
    file.add_file_type(0)  # all weights are 32-bit floats
    file.add_tokenizer_model("llama")
    file.add_token_list(vocabulary.tokens)
    file.add_token_scores(vocabulary.scores)
    file.add_token_types(vocabulary.types)
    file.add_bos_token_id(1)
    file.add_eos_token_id(END)
    file.add_unk_token_id(0)
    file.add_add_space_prefix(False)
    file.add_chat_template(TEMPLATE)

    def zeros(*shape):
        return np.zeros(shape, np.float32)

    file.add_tensor("token_embd.weight", embedding)
    file.add_tensor("output_norm.weight", np.ones(width, np.float32))
    file.add_tensor("output.weight", output)
    block = "blk.0."
    file.add_tensor(block + "attn_norm.weight", np.ones(width, np.float32))
    file.add_tensor(block + "ffn_norm.weight", np.ones(width, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        file.add_tensor(block + name + ".weight", zeros(width, width))
    file.add_tensor(block + "ffn_gate.weight", zeros(FEED_FORWARD, width))
    file.add_tensor(block + "ffn_up.weight", zeros(FEED_FORWARD, width))
    file.add_tensor(block + "ffn_down.weight", zeros(width, FEED_FORWARD))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
