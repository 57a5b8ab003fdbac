# The short way in: make, make test, make install [PREFIX=/usr/local] [DESTDIR=...], make deb.
PREFIX ?= /usr/local
PRESET ?= release
export CMAKE_BUILD_PARALLEL_LEVEL

# A checkout that was moved or copied with its build folder: CMake refuses the old paths.
ifneq ($(wildcard build/$(PRESET)/CMakeCache.txt),)
ifneq ($(shell sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' build/$(PRESET)/CMakeCache.txt),$(CURDIR))
$(shell rm -rf build/$(PRESET))
endif
endif

all: build/$(PRESET)/build.ninja
	cmake --build build/$(PRESET)
	@ln -sfn $(PRESET)/fournil build/fournil

build/$(PRESET)/build.ninja: CMakePresets.json
	cmake --preset $(PRESET)

test: all
	ctest --test-dir build/$(PRESET) --output-on-failure

# All of it: sanitizers, checkers, fuzz corpora. Installs what it needs.
check:
	sh scripts/test.sh

install: all
	cmake --install build/$(PRESET) --prefix $(PREFIX) --strip

# libfournil.a, its headers and fournil.pc
install-lib: all
	cmake --build build/$(PRESET) --target libfournil
	cmake --install build/$(PRESET) --prefix $(PREFIX) --component library

deb: all
	cd build/$(PRESET) && cpack -B ../package
	@ls build/package/*.deb

# Everything committed that is printed by the program itself.
docs: all
	build/fournil help --config > docs/config.md

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

.PHONY: all test check install install-lib deb docs format clean
