-- What both servers need of PostgreSQL: sudo -u postgres psql -f deploy/databases.sql
-- then `\password prefect` and `\password mlflow` in psql, which show up in no log.
CREATE ROLE prefect LOGIN;
CREATE ROLE mlflow LOGIN;
CREATE DATABASE prefect OWNER prefect;
CREATE DATABASE mlflow OWNER mlflow;
REVOKE CONNECT ON DATABASE prefect, mlflow FROM PUBLIC;
