"""FileStore: the store contract, and what is in its directory."""

import pytest

from video_oauth_auth.stores import FileStore
from video_oauth_auth.stores import folder as folders
from video_oauth_auth.testing import StoreContract


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FileStore(tmp_path / "tokens")

    @pytest.fixture
    def another(self, store):
        return FileStore(store.path)


class TestFileStoreWithoutModesAndDescriptors(TestFileStore):
    """The ways of Windows, as far as they can be gone elsewhere."""

    @pytest.fixture(autouse=True)
    def _no_posix(self, monkeypatch):
        monkeypatch.setattr(folders, "POSIX", False)
