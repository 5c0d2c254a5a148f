"""Build one tiny random Llama in the formats of both engines: real inference, with no weights from anywhere.

    python tiny_models.py FOLDER TEXT...

writes ``FOLDER/tiny`` (config, tokenizer and weights as transformers reads them) and ``FOLDER/tiny.gguf`` (the same
for llama.cpp). The tokenizer is trained on the text files. Runs in the engines' environment: needs torch,
transformers, tokenizers, gguf and numpy.

The text is nonsense, but everything around it is real: sampling, streaming, limits, and grammars, which make even
this model write JSON. Both files hold the same weights, so that both engines give the same greedy answer.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = 2048
VOCABULARY = 2000
WIDTH, HIDDEN, LAYERS, HEADS, KEY_VALUE_HEADS = 64, 128, 2, 4, 2
EPSILON = 1e-5
BEGIN, END = "<s>", "</s>"
SPECIAL = [BEGIN, END, "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>"]
CHAT_TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}<|assistant|>"


def train_tokenizer(texts: list[Path]) -> Tokenizer:
    """Byte-level BPE over the files, GPT-2's kind, which both engines know."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((path.read_text("utf-8") for path in texts), trainer)
    return tokenizer


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """The tokens by id."""
    return [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]


def unwanted(tokenizer: Tokenizer) -> list[int]:
    """Ids never to be sampled: special tokens, bytes that are no text on their own, and control characters.

    Without an end token an answer has exactly the length that was asked for. Stray bytes make llama.cpp's server hold
    back text until they make sense, for ever. Its grammars let control characters into JSON strings unescaped.
    """

    def is_unwanted(token_id: int, token: str) -> bool:
        text = tokenizer.decode([token_id], skip_special_tokens=False)
        return token in SPECIAL or "\ufffd" in text or any(ord(letter) < 32 for letter in text)

    return [token_id for token_id, token in enumerate(vocabulary(tokenizer)) if is_unwanted(token_id, token)]


def random_llama(never: list[int]) -> LlamaForCausalLM:
    """Random weights from a fixed seed; the tokens in ``never`` have no chance unless a grammar leaves no other."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=EPSILON,
        tie_word_embeddings=False,
        bos_token_id=SPECIAL.index(BEGIN),
        eos_token_id=SPECIAL.index(END),
        pad_token_id=SPECIAL.index(END),
    )
    model = LlamaForCausalLM(config)
    # A Llama has no biases, so one is made: the first dimension is the same in every embedding, the layers (whose
    # weights are small) hardly move it, and the output takes it away from the unwanted tokens.
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 0.1
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[never, 0] = -10.0
    return model


def save_for_transformers(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the folder that ``transformers serve`` takes."""
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=END)
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)
    model.save_pretrained(folder)


def save_for_llama_cpp(model: LlamaForCausalLM, tokenizer: Tokenizer, file: Path) -> None:
    """Write the one file that llama.cpp takes."""
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    tokens = vocabulary(tokenizer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in SPECIAL else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(SPECIAL.index(BEGIN))
    writer.add_eos_token_id(SPECIAL.index(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    for name, tensor in model.state_dict().items():
        writer.add_tensor(_gguf_name(name), _gguf_order(name, tensor.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


_GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def _gguf_name(name: str) -> str:
    """``model.layers.0.mlp.up_proj.weight`` -> ``blk.0.ffn_up.weight``."""
    stem = name.removesuffix(".weight")
    if not stem.startswith("model.layers."):
        return f"{_GGUF_NAMES[stem]}.weight"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_GGUF_NAMES[part]}.weight"


def _gguf_order(name: str, weights: np.ndarray) -> np.ndarray:
    """llama.cpp turns neighbouring dimensions by the rotary angle, transformers the two halves of a head."""
    heads = HEADS if "q_proj" in name else KEY_VALUE_HEADS if "k_proj" in name else None
    if heads is None:
        return weights
    rows, columns = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def main(folder: Path, texts: list[Path]) -> None:
    """Build both."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(texts)
    size = tokenizer.get_vocab_size()
    if size != VOCABULARY:
        raise SystemExit(f"the texts give {size} tokens, {VOCABULARY} are needed: name more of them")
    model = random_llama(unwanted(tokenizer))
    save_for_transformers(model, tokenizer, folder / "tiny")
    save_for_llama_cpp(model, tokenizer, folder / "tiny.gguf")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
