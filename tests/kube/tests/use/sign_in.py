"""sign_in.py SOCKET DOMAIN: signs in at sftp.DOMAIN with FILES_USER and FILES_PASSWORD, and prints `taken` or `refused`."""

import os

import paramiko

import web


def main():
    transport = paramiko.Transport(web.tunnel(f"{web.resolve(web.SFTP_HOST)}:22"))
    try:
        transport.connect(username=os.environ["FILES_USER"], password=os.environ["FILES_PASSWORD"])
        paramiko.SFTPClient.from_transport(transport).listdir(".")
        print("taken")
    except paramiko.AuthenticationException:
        print("refused")
    finally:
        transport.close()


if __name__ == "__main__":
    main()
