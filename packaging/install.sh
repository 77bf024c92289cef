#!/bin/sh
# Installs what `npm run build` left in dist/ on this host. DESTDIR=/some/tree installs into a tree instead,
# for packages and images. Run again after an update: it replaces programs and units, never muster.yaml.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
dest=${DESTDIR:-}

if [ ! -x "$here/dist/musterd" ]; then
    echo "install: $here/dist is not built; run: npm run build" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "install: needs root to write to ${dest:-/}; run: sudo sh packaging/install.sh" >&2
    exit 1
fi

install -d "$dest/usr/lib/muster" "$dest/usr/bin" "$dest/usr/lib/systemd/system" "$dest/usr/lib/sysusers.d" \
    "$dest/etc/muster" "$dest/etc/muster/hooks.d" "$dest/usr/share/doc/muster" "$dest/usr/share/bash-completion/completions"
# Nodes get their agent from artifacts/: in the base archives when they boot, packed (agent.zst) when they are up.
# The executable beside them, dist/muster-agent, is for tests and for a look at one's own machine.
for part in lib artifacts musterd muster muster-initramfs; do
    rm -rf "$dest/usr/lib/muster/$part.new"
    cp -R "$here/dist/$part" "$dest/usr/lib/muster/$part.new"
    rm -rf "$dest/usr/lib/muster/$part"
    mv "$dest/usr/lib/muster/$part.new" "$dest/usr/lib/muster/$part"
done
ln -sf ../lib/muster/muster "$dest/usr/bin/muster"
install -m 0644 "$here/packaging/systemd/musterd.service" "$here/packaging/systemd/muster-dnsmasq.service" \
    "$dest/usr/lib/systemd/system/"
printf 'u muster - "muster controller" /var/lib/muster\n' >"$dest/usr/lib/sysusers.d/muster.conf"
install -m 0644 "$here/README.md" "$here/LICENSE" "$here/CHANGELOG.md" "$dest/usr/share/doc/muster/"
if [ ! -e "$dest/etc/muster/muster.yaml" ]; then
    # musterd's unit has no right to run dnsmasq: that is the other unit's.
    sed 's/^  #supervisor: child$/  supervisor: systemd/' "$here/packaging/muster.yaml" >"$dest/etc/muster/muster.yaml"
    chmod 0644 "$dest/etc/muster/muster.yaml"
fi
# shellcheck disable=SC2016
printf '%s\n' 'eval "$(muster completion bash)"' >"$dest/usr/share/bash-completion/completions/muster"

if [ -z "$dest" ]; then
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers muster.conf
    else
        getent passwd muster >/dev/null || useradd --system --home-dir /var/lib/muster --shell /usr/sbin/nologin muster
    fi
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
    echo "install: done. Set controller.address and network.subnet in /etc/muster/muster.yaml, then:"
    echo "    muster config check && systemctl enable --now musterd muster-dnsmasq && muster doctor"
fi
