"""The parts of ``make engine``; ``scripts/engine.py`` puts them together.

environment   the engines' own virtual environment
tiny_models   the model both engines serve (runs in that environment)
servers       the engines as processes on loopback
raw           one exchange by a plain socket, past nexus3
answers, refusals, grammars, outputs, loops   the checks
typed_schemas, raw_schemas   the fifty schemas of outputs
report        one line a check
"""
