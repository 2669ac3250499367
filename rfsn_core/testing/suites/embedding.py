"""What a provider of the embedding stage must do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rfsn_core.contract.embedding import Embedder
from rfsn_core.testing.suites.provider import ProviderSuite
from rfsn_core.testing.suites.texts import ODD_TEXTS, SPEAKABLE


class EmbedderSuite(ProviderSuite):
    """For providers of the embedding stage."""

    stage = "embedding"

    def test_texts_become_vectors_of_length_one_or_zero(self, tmp_path: Path) -> None:
        async def body(embedder: Embedder) -> None:
            for texts in (ODD_TEXTS, ODD_TEXTS[:1], [SPEAKABLE] * 200):
                vectors = np.asarray(await embedder.embed(texts))
                assert vectors.shape[0] == len(texts)
                assert vectors.ndim == 2
                assert np.isfinite(vectors).all()
                lengths = np.linalg.norm(vectors, axis=1)
                assert (np.isclose(lengths, 1, atol=1e-3) | np.isclose(lengths, 0, atol=1e-3)).all()

        self.run(tmp_path, body)

    def test_the_same_text_has_the_same_vector_and_a_similar_one_is_near(self, tmp_path: Path) -> None:
        async def body(embedder: Embedder) -> None:
            texts = [SPEAKABLE, "The water was high last night and no boat runs now.", "I sell plums and barley cakes."]
            vectors = np.asarray(await embedder.embed(texts))
            alone = np.asarray(await embedder.embed(texts[:1]))
            assert np.allclose(vectors[0], alone[0], atol=1e-5)
            assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]

        self.run(tmp_path, body)
