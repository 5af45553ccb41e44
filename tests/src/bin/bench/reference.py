"""What fastText and scikit-learn do with the same rows, for `bench classify`.

Arguments: training CSV, test CSV (columns text, label). One JSON object a line; a tool that is not there says so.
CPU-seconds of this process on one thread, from raw string to label.
"""

import csv
import json
import os
import sys
import tempfile
import time

csv.field_size_limit(1 << 30)


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    return [row["text"] for row in read], [row["label"] for row in read]


def report(tool, truth, given, train_seconds, speed):
    labels = set(truth) | set(given)
    f1 = []
    for label in labels:
        both = sum(t == label and g == label for t, g in zip(truth, given))
        either = truth.count(label) + given.count(label)
        f1.append(2 * both / either if either else 0.0)
    print(json.dumps({
        "tool": tool,
        "accuracy": sum(t == g for t, g in zip(truth, given)) / len(truth),
        "macro_f1": sum(f1) / len(f1),
        "train_cpu_seconds": train_seconds,
        "items_per_cpu_second": speed,
    }), flush=True)


def timed(predict, texts):
    given, passes, begun = None, 0, time.process_time()
    while passes == 0 or time.process_time() - begun < 0.5:
        given = [predict(text) for text in texts]
        passes += 1
    return given, passes * len(texts) / (time.process_time() - begun)


def fasttext_reference(train, test):
    import fasttext

    clean = lambda text: " ".join(text.lower().split())
    names = sorted(set(train[1]))
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="utf-8") as file:
        for text, label in zip(*train):
            file.write(f"__label__{names.index(label)} {clean(text)}\n")
    begun = time.process_time()
    model = fasttext.train_supervised(
        file.name, lr=0.5, epoch=25, wordNgrams=2, minn=2, maxn=5, dim=50, bucket=200000, thread=1, verbose=0
    )
    train_seconds = time.process_time() - begun
    os.unlink(file.name)
    # `predict` of the Python package copies through NumPy, which NumPy 2 refuses; this is what it calls.
    predict = lambda text: model.f.predict(clean(text) + "\n", 1, 0.0, "strict")[0][1]
    given, speed = timed(predict, test[0])
    report("fastText", test[1], [names[int(label[len("__label__"):])] for label in given], train_seconds, speed)


def sklearn_reference(train, test):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    begun = time.process_time()
    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
        ),
        LinearSVC(C=0.5),
    ).fit(*train)
    train_seconds = time.process_time() - begun
    begun = time.process_time()
    given = list(model.predict(test[0]))
    batch = len(given) / (time.process_time() - begun)
    report("scikit-learn SVC, in a batch", test[1], given, train_seconds, batch)


def main():
    train, test = rows(sys.argv[1]), rows(sys.argv[2])
    for tool, reference in (("fastText", fasttext_reference), ("scikit-learn SVC", sklearn_reference)):
        try:
            reference(train, test)
        except ImportError as error:
            print(json.dumps({"tool": tool, "missing": str(error)}), flush=True)


main()
