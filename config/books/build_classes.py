#!/usr/bin/env python3
"""Trains the table by which requests are told apart: config/books/classes.csv.

    python3 config/books/build_classes.py DATA > config/books/classes.csv

DATA is a folder with quality_zeroeval_prompts.csv.gz, quality_mmlupro_prompts.csv.gz
and quality_routellm_pairs.csv.gz (prompts with a category: ZeroEval, MMLU-Pro and the
MMLU part of RouteLLM's evaluation, all Apache-2.0; see NOTICE). The kinds of request
that no public set labels are described by the templates below, written for this purpose.

The model is a softmax regression on which words of a vocabulary occur; a row is a word
and its weights, in 1/16. Four prompts in ten, chosen by a checksum of the text, are never
trained on; how those are told apart goes to standard error.

Needs numpy. The same input gives the same table.
"""

import collections
import csv
import gzip
import io
import itertools
import re
import sys
import zlib

import numpy as np

CLASSES = (
    "chat code arithmetic mathematics physics chemistry engineering computing biology health law history "
    "philosophy psychology economics business knowledge writing translation summary extraction puzzle"
).split()

MMLU_PRO = {
    "biology": "biology", "business": "business", "chemistry": "chemistry", "computer science": "computing",
    "economics": "economics", "engineering": "engineering", "health": "health", "history": "history",
    "law": "law", "math": "mathematics", "other": "knowledge", "philosophy": "philosophy",
    "physics": "physics", "psychology": "psychology",
}
ZEROEVAL = {"crux": "code", "gsm": "arithmetic", "math-l5": "mathematics"}
# Subjects of MMLU that MMLU-Pro files elsewhere, or that are of several kinds, are left out.
MMLU = {
    "law": "professional_law international_law jurisprudence",
    "philosophy": "moral_scenarios moral_disputes philosophy logical_fallacies formal_logic world_religions",
    "knowledge": "miscellaneous global_facts high_school_geography",
    "psychology": "professional_psychology high_school_psychology",
    "economics": "high_school_macroeconomics high_school_microeconomics econometrics",
    "mathematics": "high_school_mathematics high_school_statistics abstract_algebra college_mathematics",
    "arithmetic": "elementary_mathematics",
    "history": "prehistory high_school_world_history high_school_us_history high_school_european_history",
    "biology": "high_school_biology college_biology",
    "health": "professional_medicine clinical_knowledge college_medicine virology anatomy medical_genetics "
              "nutrition human_aging",
    "business": "professional_accounting marketing management business_ethics",
    "physics": "conceptual_physics high_school_physics college_physics astronomy",
    "engineering": "electrical_engineering",
    "chemistry": "high_school_chemistry college_chemistry",
    "computing": "machine_learning college_computer_science computer_security high_school_computer_science",
}

TOPICS = (
    "our new product|a walk by the sea|the meeting on Monday|my holiday in Norway|a lost dog|the annual report|"
    "an old friend|the weather today|a birthday party|the train strike|my neighbour's garden|the school play|"
    "a broken washing machine|moving to another city|the football match|learning to cook|a rainy afternoon|"
    "the invoice from March|our team's plans|the opening of the museum"
).split("|")
LANGUAGES = "German|French|Spanish|English|Japanese|Chinese|Italian|Portuguese|Dutch|Korean".split("|")
TASKS = (
    "sorts a list of numbers|parses a date|reads a CSV file|reverses a string|counts words in a file|"
    "merges two dictionaries|validates an email address|computes a checksum|walks a binary tree|"
    "fetches a URL with retries|removes duplicates|finds the longest path|"
    "caches its results|paginates a query"
).split("|")
TECHNIQUES = "Python|JavaScript|TypeScript|Rust|Go|Java|C++|SQL|Bash|C#".split("|")
TEMPLATES = {
    "chat": [
        "Hello! How are you today?", "Hi", "hey there, what's up?", "Hi there", "Hello", "How are you doing?",
        "How are you?", "How is it going with {topic}?", "Are you there?", "How have you been since {topic}?", "Thanks, that helps a lot!", "ok",
        "What can you do?", "Who are you?", "Tell me a joke", "Tell me something about {topic}.",
        "What do you think about {topic}?", "I am worried about {topic}. What should I do?",
        "Can you help me with {topic}?", "I feel tired because of {topic}.", "Let's talk about {topic}.",
        "Do you have any ideas for {topic}?", "What would you recommend for {topic}?", "Please say that again, shorter.",
        "I don't understand, can you explain that to me in simple words?", "Could you give me some advice on {topic}?",
        "Good morning! Any plans for {topic}?", "Give me five ideas about {topic}.",
    ],
    "writing": [
        "Write a short story about {topic}.", "Write a poem about {topic}.", "Draft an email to my colleagues about {topic}.",
        "Write a blog post on {topic} in a friendly tone.", "Compose a song about {topic}.",
        "Rewrite this paragraph so that it sounds more formal: I was glad to hear about {topic}.",
        "Please improve the style of my letter on {topic}.", "Write a speech for {topic}.",
        "Write three headlines for an article about {topic}.", "Write a cover letter that mentions {topic}.",
        "Proofread and correct the following text: yesterday we has heard of {topic}.",
    ],
    "translation": [
        "Translate the following sentence into {language}: I would like to hear about {topic}.",
        "Translate to {language}: {topic}", "How do you say \"{topic}\" in {language}?",
        "Please translate this text from English to {language}.\n\nWe have talked about {topic} for a long time.",
        "Provide a {language} translation of: Where can I read more on {topic}?",
        "You are a translator. Translate the user's text into {language} and keep its tone.\n{topic}",
    ],
    "summary": [
        "Summarize the following text in three sentences.\n\nLast week everybody talked about {topic}. It began slowly.",
        "Give me a summary of this article about {topic}.", "Summarise the conversation below in bullet points: {topic}",
        "TL;DR of the following: {topic} was discussed at length by all who were there.",
        "What are the key points of this document on {topic}?", "Shorten this text to one paragraph: {topic} and what came of it.",
        "Write an abstract that summarizes the report about {topic}.",
    ],
    "extraction": [
        "Extract all names, dates and amounts from the text below and return them as JSON.\n\nOn 3 May we spoke of {topic}.",
        "Return a JSON object with the keys \"title\", \"date\" and \"topic\" for: {topic}",
        "Classify the following message as positive, negative or neutral. Answer with one word.\n{topic}",
        "Which of these categories fits best: billing, support, sales? Message: a question about {topic}",
        "Extract the entities from this sentence as a table: {topic}", "Fill in this JSON schema from the text: {topic}",
        "Label the sentiment of this review: I was not happy with {topic}.", "List every email address that occurs in: {topic}",
    ],
    "puzzle": [
        "There are {n} houses, numbered from left to right. Each has a different owner, drink and pet. The one who drinks tea "
        "lives left of the one with the cat. Who owns the fish?",
        "{n} people stand in a row. Alice is not next to Bob. Carol stands right of Dave. Who is first?",
        "Solve this riddle: what has {n} hands but cannot clap?",
        "On an island knights always tell the truth and knaves always lie. {n} of them meet. The first says: we are all knaves. "
        "Who is a knight?",
        "A farmer must cross a river with a wolf, a goat and {n} cabbages. The boat holds two. How does he do it?",
        "Fill this sudoku row: 1 _ 3 _ {n} _ 7 8 9.", "Find the pattern and give the next term: 2, 6, 12, 20, {n}",
        "Each of {n} friends has a different hat and sits in a different seat. Use the clues to tell who sits where. "
        "1. The red hat is not at an end. 2. Eric sits left of Arnold.",
    ],
    "code": [
        "Write a {technique} function that {task}.", "Fix the bug in this {technique} code: it {task} but crashes.",
        "Explain what this code does:\n```\nfor (int i = 0; i < n; i++) {{ total += items[i]; }}\n```\nIt {task} in {technique}.",
        "Refactor this {technique} class that {task}.", "Write unit tests for a {technique} function which {task}.",
        "I get an exception with this stack trace in {technique}; the function {task}. What is wrong?",
        "How do I write a {technique} script that {task}?", "Implement a {technique} program that {task} and give its complexity.",
        "import os\n\ndef main():\n    pass\n\nComplete this {technique} file so that it {task}.",
        "Write a regular expression in {technique} for a tool that {task}.",
    ],
}

TOKEN = re.compile(rb"[a-z]+|[0-9]+|[\x80-\xff]+|[^\sa-z0-9\x80-\xff]")
MOST_BYTES = 8192
VOCABULARY, RAREST = 4000, 6
PENALTY, EPOCHS, RATE, BATCH = 3e-6, 8, 0.05, 512
SCALE = 16
# What a template's text weighs against a real prompt.
TEMPLATE_WEIGHT = 1.0


def words(text):
    """Which words occur: see src/request/class.rs, which must do exactly the same."""
    text = text.encode()[:MOST_BYTES].lower()
    found = {b"#" * min(len(w), 4) if w[:1].isdigit() else w for w in TOKEN.findall(text)}
    found.add(b"length%d" % len(text).bit_length())
    found.add(b"lines%d" % min(text.count(b"\n"), 15).bit_length())
    return found


def rows(path):
    return csv.DictReader(io.TextIOWrapper(gzip.open(path), "utf8"))


def templates():
    for name, forms in TEMPLATES.items():
        for form in forms:
            fills = {
                "topic": TOPICS, "language": LANGUAGES, "n": list("3456"), "task": TASKS, "technique": TECHNIQUES,
            }
            keys = [key for key in fills if "{%s}" % key in form]
            choices = list(itertools.product(*(fills[key] for key in keys)))
            for choice in choices[:: max(1, len(choices) // 20)]:
                yield form.format(**dict(zip(keys, choice))), name


def corpus(folder):
    """Texts, classes and the set each text is from."""
    subjects = {subject: name for name, all_ in MMLU.items() for subject in all_.split()}
    for row in rows(f"{folder}/quality_mmlupro_prompts.csv.gz"):
        yield row["text"], MMLU_PRO[row["category"]], "MMLU-Pro"
    for row in rows(f"{folder}/quality_zeroeval_prompts.csv.gz"):
        yield row["text"], ZEROEVAL[row["category"]], "ZeroEval"
    for row in rows(f"{folder}/quality_routellm_pairs.csv.gz"):
        if row["category"] in subjects:
            yield row["prompt"], subjects[row["category"]], "MMLU"
    for text, name in templates():
        yield text, name, "templates"


def vocabulary(documents, classes):
    """The words that say most about the class (mutual information)."""
    seen = collections.Counter(itertools.chain.from_iterable(documents))
    names = sorted(word for word, count in seen.items() if count >= RAREST)
    index = {word: i for i, word in enumerate(names)}
    counts = np.zeros((len(names), len(CLASSES)))
    for document, which in zip(documents, classes):
        for word in document:
            if word in index:
                counts[index[word], which] += 1
    share = np.bincount(classes, minlength=len(CLASSES)) / len(classes)
    present = (counts + 0.5) / (share * len(classes) + 1)
    overall = (present * share).sum(1, keepdims=True)
    information = (share * (present * np.log(present / overall)
                            + (1 - present) * np.log((1 - present) / (1 - overall)))).sum(1)
    return sorted(names[i] for i in np.argsort(-information, kind="stable")[:VOCABULARY])


def matrix(documents, names):
    index = {word: i for i, word in enumerate(names)}
    x = np.zeros((len(documents), len(names) + 1), np.float32)
    for row, document in zip(x, documents):
        known = [index[word] for word in document if word in index]
        row[known] = 1 / np.sqrt(max(len(known), 1))
        row[-1] = 1
    return x


def softmax(z):
    q = np.exp(z - z.max(1, keepdims=True))
    return q / q.sum(1, keepdims=True)


def train(x, classes, weights):
    """Softmax regression by Adam, with a falling rate."""
    w = np.zeros((x.shape[1], len(CLASSES)), np.float32)
    mean, square, random, step = np.zeros_like(w), np.zeros_like(w), np.random.default_rng(0), 0
    for epoch in range(EPOCHS):
        order = random.permutation(len(x))
        for start in range(0, len(x), BATCH):
            i = order[start:start + BATCH]
            error = softmax(x[i] @ w)
            error[np.arange(len(i)), classes[i]] -= 1
            gradient = x[i].T @ (error * weights[i, None]) / len(i) + PENALTY * w
            step += 1
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.99 * square + 0.01 * gradient**2
            w -= (RATE * (1 - epoch / EPOCHS) * (mean / (1 - 0.9**step))
                  / (np.sqrt(square / (1 - 0.99**step)) + 1e-8))
    return w


def report(told, classes, sets, trained):
    say = lambda *what: print(*what, file=sys.stderr)
    for name in ("ZeroEval", "MMLU-Pro", "MMLU", "templates"):
        for known in (True, False):
            of = (sets == name) & (trained == known)
            say(f"{name}, {'trained on' if known else 'held out'}: {(told[of] == classes[of]).mean():.3f} of {of.sum()}")
    for name in ("ZeroEval", "MMLU-Pro"):
        of = (sets == name) & ~trained
        say(f"held out {name}: row = true class, then what it was taken for (share, from 3 %)")
        for which in sorted(set(classes[of])):
            taken = np.bincount(told[of & (classes == which)], minlength=len(CLASSES)) / (of & (classes == which)).sum()
            say(" ", CLASSES[which], ", ".join(f"{CLASSES[k]} {taken[k]:.2f}" for k in np.argsort(-taken) if taken[k] >= 0.03))


def main():
    texts, names, sets = zip(*corpus(sys.argv[1]))
    classes, sets = np.array([CLASSES.index(name) for name in names]), np.array(sets)
    trained = np.array([zlib.crc32(text.strip()[:400].lower().encode()) % 10 < 6 for text in texts])
    documents = [words(text) for text in texts]
    where = np.flatnonzero(trained)
    known = vocabulary([documents[i] for i in where], classes[where])
    x = matrix(documents, known)
    weights = np.where(sets == "templates", TEMPLATE_WEIGHT, 1.0).astype(np.float32)
    w = np.clip(np.rint(train(x[where], classes[where], weights[where]) * SCALE), -127, 127).astype(int)
    report((x @ w.astype(np.float32)).argmax(1), classes, sets, trained)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["word", *CLASSES])
    out.writerow(["", *w[-1]])
    for word, row in zip(known, w):
        out.writerow([word.decode(), *row])


main()
